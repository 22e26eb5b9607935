# Fixtures of test_symbolizer*, built when the tests are: one small program, compiled and stripped in
# as many ways as the machine has tools for. A variant is one line below; variants.txt lists
# "name what-is-to-be-found" for the test:
#   full      functions, lines, inlined calls        symbols   functions
#   exported  functions that others can link to

set(SYMBOLS_DIR ${PROJECT_BINARY_DIR}/tests/symbols)
set(SYMBOLS_SOURCE ${CMAKE_CURRENT_LIST_DIR})
file(MAKE_DIRECTORY ${SYMBOLS_DIR})
find_program(SYMBOLS_GXX g++ REQUIRED)
find_program(SYMBOLS_CLANGXX clang++)
find_program(SYMBOLS_RUSTC rustc HINTS $ENV{HOME}/.cargo/bin)
find_program(SYMBOLS_XZ xz)
find_program(SYMBOLS_DWZ dwz)
find_program(SYMBOLS_ADDR2LINE addr2line REQUIRED)
find_program(SYMBOLS_OBJCOPY objcopy REQUIRED)

add_custom_command(OUTPUT ${SYMBOLS_DIR}/mark.o
	COMMAND ${CMAKE_C_COMPILER} -O1 -D_GNU_SOURCE -c ${SYMBOLS_SOURCE}/symbols_mark.c -o mark.o
	WORKING_DIRECTORY ${SYMBOLS_DIR} DEPENDS ${SYMBOLS_SOURCE}/symbols_mark.c VERBATIM)

# symbols_program(name expectation compiler flags...)
function(symbols_program name expectation compiler)
	add_custom_command(OUTPUT ${SYMBOLS_DIR}/${name}
		COMMAND ${compiler} ${ARGN} ${SYMBOLS_SOURCE}/symbols_fixture.cc mark.o -o ${name}
		WORKING_DIRECTORY ${SYMBOLS_DIR}
		DEPENDS ${SYMBOLS_SOURCE}/symbols_fixture.cc ${SYMBOLS_DIR}/mark.o VERBATIM)
	symbols_variant(${name} ${expectation})
endfunction()

# symbols_derived(name expectation from [COMMAND ...]...): made from another variant
function(symbols_derived name expectation from)
	add_custom_command(OUTPUT ${SYMBOLS_DIR}/${name} ${ARGN}
		WORKING_DIRECTORY ${SYMBOLS_DIR} DEPENDS ${SYMBOLS_DIR}/${from} VERBATIM)
	symbols_variant(${name} ${expectation})
endfunction()

function(symbols_variant name expectation)
	set_property(GLOBAL APPEND_STRING PROPERTY SYMBOLS_LINES "${name} ${expectation}\n")
	set_property(GLOBAL APPEND PROPERTY SYMBOLS_FILES ${SYMBOLS_DIR}/${name})
endfunction()

symbols_program(gcc-O0 full ${SYMBOLS_GXX} -O0 -g)
symbols_program(gcc-O2 full ${SYMBOLS_GXX} -O2 -g)
symbols_program(gcc-O3-dwarf4 full ${SYMBOLS_GXX} -O3 -gdwarf-4)
symbols_program(gcc-Os-nopie full ${SYMBOLS_GXX} -Os -g -no-pie)
symbols_program(gcc-lto full ${SYMBOLS_GXX} -O2 -g -flto)
symbols_program(gcc-compressed full ${SYMBOLS_GXX} -O2 -g -gz)
symbols_program(gcc-split full ${SYMBOLS_GXX} -O2 -g -gsplit-dwarf -dumpdir gcc-split.)
symbols_program(gcc-sections full ${SYMBOLS_GXX} -O2 -g -ffunction-sections -Wl,--gc-sections)
symbols_program(gcc-relative full ${SYMBOLS_GXX} -O2 -g -ffile-prefix-map=${SYMBOLS_SOURCE}=x/../y/./z)
symbols_program(gcc-no-debug symbols ${SYMBOLS_GXX} -O2 -fno-ipa-cp -fno-ipa-sra)
symbols_program(gcc-exported exported ${SYMBOLS_GXX} -O2 -fno-ipa-cp -fno-ipa-sra -rdynamic -s)
symbols_derived(debuglink full gcc-O2
	COMMAND ${SYMBOLS_OBJCOPY} --only-keep-debug gcc-O2 debuglink.debug
	COMMAND ${SYMBOLS_OBJCOPY} --strip-all --remove-section .note.gnu.build-id
		--add-gnu-debuglink=debuglink.debug gcc-O2 debuglink)
if(SYMBOLS_XZ)
	symbols_derived(minidebuginfo symbols gcc-no-debug
		COMMAND ${SYMBOLS_OBJCOPY} --only-keep-debug gcc-no-debug mini
		COMMAND ${SYMBOLS_XZ} --force --keep mini
		COMMAND ${SYMBOLS_OBJCOPY} --strip-all --add-section .gnu_debugdata=mini.xz gcc-no-debug
			minidebuginfo)
endif()
if(SYMBOLS_DWZ)
	symbols_derived(dwz-alt full gcc-O2
		COMMAND ${CMAKE_COMMAND} -E copy gcc-O2 dwz-alt
		COMMAND ${CMAKE_COMMAND} -E copy gcc-O2 dwz-other
		COMMAND ${SYMBOLS_DWZ} -m dwz-common dwz-alt dwz-other)
endif()
if(SYMBOLS_CLANGXX)
	symbols_program(clang-O0 full ${SYMBOLS_CLANGXX} -O0 -g)
	symbols_program(clang-O2 full ${SYMBOLS_CLANGXX} -O2 -g)
	symbols_program(clang-split full ${SYMBOLS_CLANGXX} -O1 -g -gsplit-dwarf)
endif()
if(SYMBOLS_RUSTC)
	foreach(variant debug release v0)
		set(flags_debug -g)
		set(flags_release -O -g)
		set(flags_v0 -O -g -C symbol-mangling-version=v0
			--remap-path-prefix ${SYMBOLS_SOURCE}=relative)
		add_custom_command(OUTPUT ${SYMBOLS_DIR}/rust-${variant}
			COMMAND ${SYMBOLS_RUSTC} --edition 2021 --crate-name fixture ${flags_${variant}}
				-C link-arg=mark.o -o rust-${variant} ${SYMBOLS_SOURCE}/symbols_fixture.rs
			WORKING_DIRECTORY ${SYMBOLS_DIR}
			DEPENDS ${SYMBOLS_SOURCE}/symbols_fixture.rs ${SYMBOLS_DIR}/mark.o VERBATIM)
		symbols_variant(rust-${variant} full)
	endforeach()
endif()

get_property(SYMBOLS_LINES GLOBAL PROPERTY SYMBOLS_LINES)
get_property(SYMBOLS_FILES GLOBAL PROPERTY SYMBOLS_FILES)
file(WRITE ${SYMBOLS_DIR}/variants.txt "${SYMBOLS_LINES}")
add_custom_target(symbols_fixtures DEPENDS ${SYMBOLS_FILES})
foreach(test test_symbolizer test_symbolizer_lines test_symbolizer_modules test_symbolizer_damage
		test_symbolizer_inflate test_symbolizer_aranges)
	target_sources(${test} PRIVATE ${SYMBOLS_SOURCE}/symbols_support.c)
	add_dependencies(${test} symbols_fixtures)
	target_compile_definitions(${test} PRIVATE SYMBOLS_DIR="${SYMBOLS_DIR}"
		SYMBOLS_ADDR2LINE="${SYMBOLS_ADDR2LINE}" SYMBOLS_OBJCOPY="${SYMBOLS_OBJCOPY}")
endforeach()
