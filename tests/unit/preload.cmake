# What the recorder's unit tests need besides: the analyzer's reader, to read what they write, and
# of those with threads a twin under ThreadSanitizer, made of the recorder's sources.
foreach(name test_preload_encode test_preload_sole test_preload_trace_file
	test_preload_modules test_preload_record test_preload_lifecycle)
	target_sources(${name} PRIVATE unit/preload_view.c)
	target_link_libraries(${name} PRIVATE analyzer)
endforeach()

# Two sizes of plugin, of which the tests make copies to load and unload.
foreach(size small large)
	add_library(test_plugin_${size} MODULE unit/preload_plugin.c)
	target_compile_definitions(test_plugin_${size} PRIVATE PLUGIN_${size})
	target_link_options(test_plugin_${size} PRIVATE -Wl,--build-id=sha1)
endforeach()
foreach(name test_preload_modules test_preload_lifecycle)
	add_dependencies(${name} test_plugin_small test_plugin_large)
	target_compile_definitions(${name} PRIVATE
		PLUGIN_SMALL="$<TARGET_FILE:test_plugin_small>"
		PLUGIN_LARGE="$<TARGET_FILE:test_plugin_large>")
endforeach()

get_target_property(RECORDER_SOURCES preload_static SOURCES)
add_library(preload_tsan STATIC EXCLUDE_FROM_ALL ${RECORDER_SOURCES})
target_include_directories(preload_tsan PUBLIC ${PROJECT_SOURCE_DIR}/preload ${UNWIND_INCLUDE_DIRS})
target_link_libraries(preload_tsan PUBLIC memprof_flags -l:libzstd.a Threads::Threads
	${CMAKE_DL_LIBS})
target_compile_options(preload_tsan PUBLIC -fsanitize=thread -g -O1 -fno-omit-frame-pointer
	$<$<C_COMPILER_ID:GNU>:-Wno-tsan>)
target_link_options(preload_tsan PUBLIC -fsanitize=thread)

foreach(module bootstrap ring rule encode sole trace_file node_wide stacks record)
	set(name test_preload_${module}_tsan)
	add_executable(${name} unit/test_preload_${module}.c unit/preload_view.c)
	set_target_properties(${name} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
	target_link_libraries(${name} PRIVATE test_check preload_tsan analyzer)
	add_test(NAME unit.${name} COMMAND ${name})
	set_tests_properties(unit.${name} PROPERTIES TIMEOUT 300
		ENVIRONMENT "TSAN_OPTIONS=halt_on_error=1 exitcode=66;CK_DEFAULT_TIMEOUT=60")
endforeach()

add_executable(preload_weak_new unit/preload_weak_new.c)
target_link_options(preload_weak_new PRIVATE -Wl,-z,dynamic-undefined-weak)
add_test(NAME unit.preload_weak_new COMMAND preload_weak_new)
set_tests_properties(unit.preload_weak_new PROPERTIES TIMEOUT 30
	ENVIRONMENT "LD_PRELOAD=$<TARGET_FILE:preload>;MEMPROF_OUT=weak_new.bin;MEMPROF_QUIET=1")
