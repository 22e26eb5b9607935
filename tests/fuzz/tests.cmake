# The fuzz target, replayed in ctest on seeds made on the spot and on what fuzzing found
# (tests/fuzz/corpus). With clang there is the fuzzer itself too:
#   mkdir seeds; tests/fuzz_replay -s seeds -n 0; tests/fuzz_report seeds

add_executable(fuzz_replay fuzz/fuzz_replay.c fuzz/fuzz_report.c)
target_link_libraries(fuzz_replay PRIVATE analyzer_sanitized test_support)
set_target_properties(fuzz_replay PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
file(GLOB FUZZ_CORPUS CONFIGURE_DEPENDS fuzz/corpus/*)
add_test(NAME fuzz.replay COMMAND fuzz_replay ${FUZZ_CORPUS})
set_tests_properties(fuzz.replay PROPERTIES TIMEOUT 300)

if(CMAKE_C_COMPILER_ID MATCHES "Clang")
	add_executable(fuzz_report EXCLUDE_FROM_ALL fuzz/fuzz_report.c ${PROJECT_SOURCE_DIR}/tests/support/trace_builder.c)
	target_include_directories(fuzz_report PRIVATE support)
	target_compile_options(fuzz_report PRIVATE -fsanitize=fuzzer,address,undefined)
	target_link_options(fuzz_report PRIVATE -fsanitize=fuzzer,address,undefined)
	target_link_libraries(fuzz_report PRIVATE analyzer_sanitized)
	set_target_properties(fuzz_report PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
endif()

# Writes long traces, to measure reading with.
add_executable(big_trace EXCLUDE_FROM_ALL fuzz/big_trace.c)
target_link_libraries(big_trace PRIVATE test_support)
set_target_properties(big_trace PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
