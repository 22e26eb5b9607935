find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME launcher.promises
	COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/launcher.py
		$<TARGET_FILE:memprof> ${CMAKE_C_COMPILER})
set_tests_properties(launcher.promises PROPERTIES TIMEOUT 300)

add_test(NAME format.second_reader
	COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/format_reader.py
		$<TARGET_FILE:memprof> $<TARGET_FILE:memprof-report> ${CMAKE_C_COMPILER})
set_tests_properties(format.second_reader PROPERTIES TIMEOUT 300)

add_test(NAME docs.agree
	COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/docs.py
		${PROJECT_SOURCE_DIR} $<TARGET_FILE:memprof>)
