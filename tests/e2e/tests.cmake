# End-to-end tests: one ctest test per case of run.py, so that a failure names what failed.
# Programs are built as programs are (-O2 -g), but without sibling calls and without the compiler's
# own knowledge of malloc, so that what is written is what is called.
enable_language(CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(Threads REQUIRED)
set(E2E ${CMAKE_CURRENT_LIST_DIR})
set(E2E_OUTPUT ${PROJECT_BINARY_DIR}/tests/e2e)
set(E2E_PYTHON /usr/bin/python3)

add_library(e2e_flags INTERFACE)
target_compile_definitions(e2e_flags INTERFACE _GNU_SOURCE)
target_compile_options(e2e_flags INTERFACE -O2 -g -fno-builtin -fno-optimize-sibling-calls
	$<$<COMPILE_LANGUAGE:CXX>:-fsized-deallocation>
	-Wall -Wextra $<$<BOOL:${MEMPROF_WERROR}>:-Werror>)
target_link_libraries(e2e_flags INTERFACE Threads::Threads ${CMAKE_DL_LIBS})

file(GLOB E2E_PROGRAMS CONFIGURE_DEPENDS ${E2E}/programs/*.c ${E2E}/programs/*.cpp)
list(REMOVE_ITEM E2E_PROGRAMS ${E2E}/programs/plugin.c)
foreach(source ${E2E_PROGRAMS})
	get_filename_component(name ${source} NAME_WE)
	add_executable(e2e_${name} ${source})
	target_link_libraries(e2e_${name} PRIVATE e2e_flags)
	set_target_properties(e2e_${name} PROPERTIES OUTPUT_NAME ${name}
		RUNTIME_OUTPUT_DIRECTORY ${E2E_OUTPUT})
endforeach()

# A recorder that stops at named points.
file(GLOB STOPS_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/preload/*.c)
add_library(e2e_memprof_stops SHARED ${STOPS_SOURCES} ${E2E}/stop_points.c)
target_include_directories(e2e_memprof_stops PRIVATE ${PROJECT_SOURCE_DIR}/preload
	${UNWIND_INCLUDE_DIRS})
target_compile_definitions(e2e_memprof_stops PRIVATE MEMPROF_STOP_POINTS)
target_link_libraries(e2e_memprof_stops PRIVATE memprof_flags -l:libzstd.a Threads::Threads
	${CMAKE_DL_LIBS})
target_compile_options(e2e_memprof_stops PRIVATE -O2 -fvisibility=hidden -fno-builtin -fexceptions
	-fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-stack-protector)
target_link_options(e2e_memprof_stops PRIVATE -Wl,-z,defs -Wl,-z,now -Wl,-z,nodelete
	-Wl,--exclude-libs,ALL)
set_target_properties(e2e_memprof_stops PROPERTIES OUTPUT_NAME memprof_stops
	LIBRARY_OUTPUT_DIRECTORY ${E2E_OUTPUT})

# One program that no preload reaches.
add_executable(e2e_still_static ${E2E}/programs/still.c)
target_link_options(e2e_still_static PRIVATE -static)
set_target_properties(e2e_still_static PROPERTIES OUTPUT_NAME still_static
	RUNTIME_OUTPUT_DIRECTORY ${E2E_OUTPUT})

foreach(name one two)
	add_library(e2e_plugin_${name} MODULE ${E2E}/programs/plugin.c)
	target_compile_definitions(e2e_plugin_${name} PRIVATE PLUGIN=${name})
	target_link_libraries(e2e_plugin_${name} PRIVATE e2e_flags)
	set_target_properties(e2e_plugin_${name} PROPERTIES OUTPUT_NAME plugin_${name}
		LIBRARY_OUTPUT_DIRECTORY ${E2E_OUTPUT})
endforeach()

foreach(name count_preload safe_alloc)
	add_library(e2e_${name} MODULE ${E2E}/${name}.c)
	target_link_libraries(e2e_${name} PRIVATE e2e_flags)
	set_target_properties(e2e_${name} PROPERTIES OUTPUT_NAME ${name}
		LIBRARY_OUTPUT_DIRECTORY ${E2E_OUTPUT})
endforeach()

file(GLOB E2E_SCRIPTS CONFIGURE_DEPENDS ${E2E}/*.py)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${E2E_SCRIPTS})
execute_process(COMMAND ${E2E_PYTHON} -B ${E2E}/run.py --list
	OUTPUT_VARIABLE E2E_CASES OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" E2E_CASES "${E2E_CASES}")
foreach(case ${E2E_CASES})
	add_test(NAME e2e.${case}
		COMMAND ${E2E_PYTHON} -B ${E2E}/run.py --build ${PROJECT_BINARY_DIR} ${case})
	set_tests_properties(e2e.${case} PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
endforeach()
