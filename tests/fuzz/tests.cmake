# The fuzz target, replayed in ctest on seeds made on the spot and on the kept corpus
# (tests/fuzz/corpus, compressed). With clang there is the fuzzer itself too; tests/fuzz/fuzz runs it.

set(FUZZ ${CMAKE_CURRENT_LIST_DIR})
set(FUZZ_TARGET ${FUZZ}/fuzz_report.c ${FUZZ}/fuzz_output.c ${FUZZ}/fuzz_mutate.c
	${FUZZ}/fuzz_image.c)

add_executable(fuzz_replay ${FUZZ}/fuzz_replay.c ${FUZZ_TARGET})
target_link_libraries(fuzz_replay PRIVATE analyzer_sanitized test_support)
set_target_properties(fuzz_replay PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
file(GLOB FUZZ_CORPUS CONFIGURE_DEPENDS ${FUZZ}/corpus/*.zst)
add_test(NAME fuzz.replay COMMAND fuzz_replay -n 10 ${FUZZ_CORPUS})
set_tests_properties(fuzz.replay PROPERTIES TIMEOUT 300)

# Everything that is fuzzed is compiled once more, with coverage.
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
	get_target_property(FUZZED_SOURCES analyzer SOURCES)
	list(TRANSFORM FUZZED_SOURCES REPLACE "^([^/])" "${PROJECT_SOURCE_DIR}/analyzer/\\1")
	add_executable(fuzz_report EXCLUDE_FROM_ALL ${FUZZ_TARGET} ${FUZZED_SOURCES} ${SUPPORT_SOURCES})
	target_include_directories(fuzz_report PRIVATE support ${PROJECT_SOURCE_DIR}/analyzer)
	target_compile_options(fuzz_report PRIVATE -O1 -fsanitize=fuzzer,address,undefined
		-fno-sanitize-recover=all)
	target_link_options(fuzz_report PRIVATE -fsanitize=fuzzer,address,undefined)
	target_link_libraries(fuzz_report PRIVATE memprof_flags PkgConfig::ZSTD PkgConfig::ELFUTILS
		${ANALYZER_INFLATE} iberty m)
	set_target_properties(fuzz_report PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
endif()

# The commands themselves with sanitizers (case reader.sanitized).
foreach(command report plot)
	add_executable(${command}_sanitized ${PROJECT_SOURCE_DIR}/analyzer/${command}_main.c)
	target_link_libraries(${command}_sanitized PRIVATE analyzer_sanitized)
	set_target_properties(${command}_sanitized PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
endforeach()

# Writes long traces, to measure reading with.
add_executable(big_trace EXCLUDE_FROM_ALL ${FUZZ}/big_trace.c)
target_link_libraries(big_trace PRIVATE test_support)
set_target_properties(big_trace PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)

# Writes small traces that claim a great deal (cases reader.bomb.*).
add_executable(bomb_trace ${FUZZ}/bomb_trace.c)
target_link_libraries(bomb_trace PRIVATE test_support)
set_target_properties(bomb_trace PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)

# Fails each allocation of a command in turn (cases reader.alloc_fail.* of the end-to-end tests).
add_library(alloc_fail MODULE ${FUZZ}/alloc_fail.c)
target_link_libraries(alloc_fail PRIVATE memprof_flags)
set_target_properties(alloc_fail PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/e2e)
