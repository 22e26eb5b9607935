# The unwinder against others: the CFI interpreter against readelf over the system's libraries, and
# whole stacks against libunwind's over programs with frames of every kind.
find_program(READELF readelf)
set(CFI_LIBRARIES libc.so.6 libstdc++.so.6 libpython3.11.so.1.0 libcrypto.so.3 libsqlite3.so.0
	libgcc_s.so.1 ld-linux-x86-64.so.2)
add_executable(cfi_compare ${CMAKE_CURRENT_LIST_DIR}/cfi_compare.c)
target_link_libraries(cfi_compare PRIVATE preload_static)
set_target_properties(cfi_compare PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
if(READELF)
	foreach(name ${CFI_LIBRARIES})
		find_file(CFI_${name} ${name} PATHS /lib/${CMAKE_LIBRARY_ARCHITECTURE}
			/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE} /lib64 NO_DEFAULT_PATH)
		if(NOT CFI_${name})
			continue()
		endif()
		add_test(NAME unwind.cfi.${name} COMMAND sh -c
			"${READELF} --debug-dump=frames-interp ${CFI_${name}} 2>/dev/null | \
$<TARGET_FILE:cfi_compare> ${CFI_${name}}")
		set_tests_properties(unwind.cfi.${name} PROPERTIES TIMEOUT 120)
	endforeach()
endif()

foreach(case shapes depths leaps storm reload nocfi redis real)
	add_test(NAME unwind.verify.${case} COMMAND /usr/bin/python3
		${CMAKE_CURRENT_LIST_DIR}/verify.py --library $<TARGET_FILE:preload> ${case})
	set_tests_properties(unwind.verify.${case} PROPERTIES TIMEOUT 300)
endforeach()
