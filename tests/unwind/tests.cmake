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

foreach(case shapes depths churn leaps edges storm reload nocfi redis real)
	add_test(NAME unwind.verify.${case} COMMAND /usr/bin/python3
		${CMAKE_CURRENT_LIST_DIR}/verify.py --library $<TARGET_FILE:preload> ${case})
	set_tests_properties(unwind.verify.${case} PROPERTIES TIMEOUT 300)
endforeach()

add_test(NAME unwind.epochs COMMAND /usr/bin/python3 ${CMAKE_CURRENT_LIST_DIR}/epochs.py
	--library $<TARGET_FILE:preload> --report $<TARGET_FILE:memprof-report>)
set_tests_properties(unwind.epochs PROPERTIES TIMEOUT 120)

add_test(NAME unwind.deep COMMAND /usr/bin/python3 ${CMAKE_CURRENT_LIST_DIR}/deep.py
	--library $<TARGET_FILE:preload> --report $<TARGET_FILE:memprof-report>)
set_tests_properties(unwind.deep PROPERTIES TIMEOUT 120)

add_test(NAME unwind.live COMMAND /usr/bin/python3 ${CMAKE_CURRENT_LIST_DIR}/live.py
	--library $<TARGET_FILE:preload> --report $<TARGET_FILE:memprof-report> --seconds 2)
set_tests_properties(unwind.live PROPERTIES TIMEOUT 120)

# Where libunwind is wrong, gdb is the judge.
find_program(GDB gdb)
if(GDB AND CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64)
	add_test(NAME unwind.third COMMAND /usr/bin/python3 ${CMAKE_CURRENT_LIST_DIR}/third.py
		--library $<TARGET_FILE:preload> --report $<TARGET_FILE:memprof-report>)
	set_tests_properties(unwind.third PROPERTIES TIMEOUT 120 SKIP_RETURN_CODE 77)
endif()

# The unwinder by itself against libgcc's; on aarch64 under qemu-user, where both are installed.
set(WALK_SOURCES ${CMAKE_CURRENT_LIST_DIR}/walk_check.c)
foreach(name cfi cfi_expr memo stack_bounds unwind_general unwind_last unwind_memo unwind_rule)
	list(APPEND WALK_SOURCES ${PROJECT_SOURCE_DIR}/preload/${name}.c)
endforeach()
add_executable(walk_check ${WALK_SOURCES})
target_include_directories(walk_check PRIVATE ${PROJECT_SOURCE_DIR}/preload)
target_link_libraries(walk_check PRIVATE memprof_flags)
target_compile_options(walk_check PRIVATE -O2 -fno-omit-frame-pointer -fno-builtin)
set_target_properties(walk_check PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
add_test(NAME unwind.walk COMMAND walk_check 2000 25)

# The whole recorder, under qemu-user; the report is this machine's.
add_test(NAME unwind.aarch64 COMMAND /usr/bin/python3 ${CMAKE_CURRENT_LIST_DIR}/aarch64.py
	--report $<TARGET_FILE:memprof-report> --root ${PROJECT_SOURCE_DIR}/build/aarch64)
set_tests_properties(unwind.aarch64 PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)

find_program(AARCH64_CC aarch64-linux-gnu-gcc)
find_program(AARCH64_READELF aarch64-linux-gnu-readelf)
find_program(AARCH64_QEMU qemu-aarch64)
set(AARCH64_ROOT /usr/aarch64-linux-gnu)
if(AARCH64_CC AND AARCH64_READELF AND AARCH64_QEMU AND NOT CMAKE_SYSTEM_PROCESSOR STREQUAL aarch64)
	set(flags -std=gnu11 -D_GNU_SOURCE -g -fno-builtin -w -I${PROJECT_SOURCE_DIR}/preload
		-I${PROJECT_SOURCE_DIR}/include)
	set(run ${AARCH64_QEMU} -L ${AARCH64_ROOT})
	set(number 0)
	foreach(options "-O0" "-O2" "-O2;-fomit-frame-pointer" "-O3;-mbranch-protection=standard")
		math(EXPR number "${number} + 1")
		set(program ${PROJECT_BINARY_DIR}/tests/walk_check_aarch64_${number})
		string(REPLACE ";" " " command "${AARCH64_CC};${flags};${options};${WALK_SOURCES}")
		string(REPLACE ";" " " execute "${run};${program};300;25")
		add_test(NAME unwind.walk.aarch64.${number}
			COMMAND sh -c "${command} -o ${program} && ${execute}")
	endforeach()
	set(program ${PROJECT_BINARY_DIR}/tests/cfi_compare_aarch64)
	string(REPLACE ";" " " command "${AARCH64_CC};-O2;${flags};\
${CMAKE_CURRENT_LIST_DIR}/cfi_compare.c;${PROJECT_SOURCE_DIR}/preload/cfi.c;\
${PROJECT_SOURCE_DIR}/preload/unwind_rule.c")
	string(REPLACE ";" " " execute "${run};${program}")
	foreach(name libc.so.6 libstdc++.so.6)
		if(EXISTS ${AARCH64_ROOT}/lib/${name})
			add_test(NAME unwind.cfi.aarch64.${name} COMMAND sh -c
				"${command} -o ${program}_${name} && \
${AARCH64_READELF} --debug-dump=frames-interp ${AARCH64_ROOT}/lib/${name} 2>/dev/null | \
${execute}_${name} ${AARCH64_ROOT}/lib/${name}")
		endif()
	endforeach()
endif()

# A benchmark, not a test: see docs/unwinding.md.
add_executable(bench_unwind ${CMAKE_CURRENT_LIST_DIR}/bench_unwind.c)
target_link_libraries(bench_unwind PRIVATE preload_static)
target_compile_options(bench_unwind PRIVATE -O2 -fno-builtin)
set_target_properties(bench_unwind PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
