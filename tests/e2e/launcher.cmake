find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME e2e.launcher
	COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/launcher.py
		$<TARGET_FILE:memprof> ${CMAKE_C_COMPILER})
set_tests_properties(e2e.launcher PROPERTIES TIMEOUT 300)

add_test(NAME e2e.format
	COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/format_reader.py
		$<TARGET_FILE:memprof> $<TARGET_FILE:memprof-report> ${CMAKE_C_COMPILER})
set_tests_properties(e2e.format PROPERTIES TIMEOUT 300)
