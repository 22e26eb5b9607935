# Measures what EVENTS segments cost, for docs/encoding.md. No test; made when asked for by name.
set(RECORDER ${PROJECT_SOURCE_DIR}/preload)

# A recorder that dumps the words of its rings.
file(GLOB DUMP_SOURCES CONFIGURE_DEPENDS ${RECORDER}/*.c)
list(REMOVE_ITEM DUMP_SOURCES ${RECORDER}/encode.c)
add_library(memprof_dump SHARED EXCLUDE_FROM_ALL ${DUMP_SOURCES} encoding/dump_words.c)
target_include_directories(memprof_dump PRIVATE ${RECORDER} ${UNWIND_INCLUDE_DIRS})
target_link_libraries(memprof_dump PRIVATE memprof_flags PkgConfig::ZSTD Threads::Threads ${CMAKE_DL_LIBS})
target_compile_options(memprof_dump PRIVATE -O2 -fvisibility=hidden -fno-builtin -fexceptions
	-fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-stack-protector)

add_executable(encoding_bench EXCLUDE_FROM_ALL encoding/encoding_bench.c)
target_link_libraries(encoding_bench PRIVATE preload_static)
set_target_properties(encoding_bench PROPERTIES
	RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
