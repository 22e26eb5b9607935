# Where the nanoseconds of a recorded call go, for docs/cost.md. No test; made when asked for by name.
add_executable(event_path_bench EXCLUDE_FROM_ALL event_path/event_path_bench.c event_path/churn.c)
target_link_libraries(event_path_bench PRIVATE preload_static)
target_compile_options(event_path_bench PRIVATE -O2 -fno-builtin)
set_source_files_properties(event_path/event_path_bench.c PROPERTIES COMPILE_OPTIONS
	"-fno-omit-frame-pointer;-fno-optimize-sibling-calls")
set_target_properties(event_path_bench PROPERTIES
	RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
