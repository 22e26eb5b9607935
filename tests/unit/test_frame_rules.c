/* Plain names, and which frames are the allocator's, a wrapper's or the program's. */
#include "frame_rules.h"

#include "check_support.h"
#include "profile.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *function;
	const char *plain;
} names[] = {
    {"", ""},
    {"main", "main"},
    {"operator new(unsigned long)", "operator new"},
    {"operator new[](unsigned long, std::align_val_t)", "operator new[]"},
    {"operator delete(void*)@plt", "operator delete"},
    {"malloc@plt", "malloc"},
    {"app::run(int)", "app::run"},
    {"app::run(int) [clone .constprop.0]", "app::run"},
    {"app::Map<int, std::vector<int> >::at(int const&) const", "app::Map::at"},
    {"void std::vector<int, std::allocator<int> >::_M_realloc_insert<int const&>("
     "__gnu_cxx::__normal_iterator<int*, std::vector<int, std::allocator<int> > >, int const&)",
     "std::vector::_M_realloc_insert"},
    {"std::map<int, int>* make<std::map<int, int> >(int)", "make"},
    {"(anonymous namespace)::pool::pool()", "(anonymous namespace)::pool::pool"},
    {"app::(anonymous namespace)::f(char)", "app::(anonymous namespace)::f"},
    {"bool std::operator< <char>(A<char> const&, A<char> const&)", "std::operator<"},
    {"std::ostream& std::operator<< <char>(std::ostream&, char)", "std::operator<<"},
    {"A::operator->() const", "A::operator->"},
    {"A::operator()(int) const", "A::operator()"},
    {"A::operator[](int)", "A::operator[]"},
    {"A::operator bool() const", "A::operator bool"},
    {"operators::run(int)", "operators::run"},
    {"main::{lambda(int)#1}::operator()(int) const", "main::{lambda#1}::operator()"},
    {"app::f(int)::{lambda()#2}::operator()() const", "app::f::{lambda#2}::operator()"},
    {"app::f(int) const::Local::g()", "app::f::Local::g"},
    {"_M_create<main(int, char**)::<lambda(int)> >", "_M_create"},
    {"alloc::raw_vec::RawVec<T,A>::reserve_for_push", "alloc::raw_vec::RawVec::reserve_for_push"},
    {"<alloc::raw_vec::RawVec<u8>>::reserve_for_push", "alloc::raw_vec::RawVec::reserve_for_push"},
    {"<alloc::vec::Vec<T> as alloc::vec::spec_from_iter::SpecFromIter<T,I>>::from_iter",
     "alloc::vec::Vec::from_iter"},
    {"<T as alloc::vec::spec_from_elem::SpecFromElem>::from_elem",
     "alloc::vec::spec_from_elem::SpecFromElem::from_elem"},
    {"<I as app::Source<u8>>::next", "app::Source::next"},
    {"<T>::f", "T::f"},
    {"<Ty as app::Source>::next", "Ty::next"},
    {"<T as ", ""},
    {"core::iter::adapters::try_process::<I, T>::{closure#0}",
     "core::iter::adapters::try_process::{closure#0}"},
    {"t::W::add::{{closure}}", "t::W::add::{{closure}}"},
    {"std::__unguarded_partition<A, B>", "std::__unguarded_partition"},
    {"broken<a, b(", "broken"},
    {"(((((", ""},
    {">>>>", ">>>>"},
    {"sqlite3Malloc.part.0", "sqlite3Malloc"},
    {"_PyObject_Malloc.lto_priv.0", "_PyObject_Malloc"},
    {".hidden", "hidden"},
};

#define NAMES (int)(sizeof(names) / sizeof(*names))

START_TEST(plain_known)
{
	char plain[128];
	size_t bytes = frame_rules_plain_name(names[_i].function, plain, sizeof(plain));

	ck_assert_str_eq(plain, names[_i].plain);
	ck_assert_uint_eq(bytes, strlen(plain));
}
END_TEST

/* Every room, down to none: cut short, terminated, nothing written beyond. */
START_TEST(plain_small_room)
{
	for (int i = 0; i < NAMES; i++) {
		for (size_t room = 0; room < 40; room++) {
			char plain[64];
			size_t bytes;

			memset(plain, '#', sizeof(plain));
			bytes = frame_rules_plain_name(names[i].function, plain, room);
			ck_assert_uint_lt(bytes, room ? room : 1);
			ck_assert(plain[room] == '#');
			ck_assert(!room || plain[bytes] == '\0');
		}
	}
}
END_TEST

/* Brackets without end and in any order. */
START_TEST(plain_hostile)
{
	static const char letters[] = "<>(){}[]:: @o-=a";
	static char name[65536];
	unsigned seed = 7;
	char plain[64];

	for (int round = 0; round < 20000; round++) {
		size_t bytes = (size_t)round % 60;

		for (size_t i = 0; i < bytes; i++) {
			seed = seed * 1664525 + 1013904223;
			name[i] = letters[(seed >> 16) % (sizeof(letters) - 1)];
		}
		name[bytes] = '\0';
		frame_rules_plain_name(name, plain, sizeof(plain));
	}
	memset(name, '<', sizeof(name) - 1);
	frame_rules_plain_name(name, plain, sizeof(plain));
	memset(name, '(', sizeof(name) - 1);
	frame_rules_plain_name(name, plain, sizeof(plain));
}
END_TEST

static const struct {
	const char *function;
	const char *module;
	enum frame_role role;
} roles[] = {
    {NULL, NULL, FRAME_ROLE_PROGRAM},
    {NULL, "/usr/lib/libmemprof.so", FRAME_ROLE_INTERNAL},
    {"anything", "/opt/lib/libmemprof.so.1", FRAME_ROLE_INTERNAL},
    {"memprof_start", "/usr/bin/memprofiler", FRAME_ROLE_PROGRAM},
    {"malloc", "/lib/x86_64-linux-gnu/libc.so.6", FRAME_ROLE_INTERNAL},
    {"malloc", "/lib/libc-2.31.so", FRAME_ROLE_INTERNAL},
    {"malloc", "/usr/bin/app", FRAME_ROLE_PROGRAM},
    {"malloc", "/lib/libcrypto.so.3", FRAME_ROLE_PROGRAM},
    {"__libc_memalign", "/lib/libc.so.6", FRAME_ROLE_INTERNAL},
    {"_int_malloc", "/lib/libc.so.6", FRAME_ROLE_INTERNAL},
    {"operator new(unsigned long)", "/lib/libstdc++.so.6", FRAME_ROLE_INTERNAL},
    {"operator new[](unsigned long)", "/usr/bin/app", FRAME_ROLE_INTERNAL},
    {"operator delete(void*, unsigned long)", "/usr/bin/app", FRAME_ROLE_INTERNAL},
    {"Pool::operator new(unsigned long)", "/usr/bin/app", FRAME_ROLE_PROGRAM},
    {"je_malloc_default", "/usr/lib/libjemalloc.so.2", FRAME_ROLE_INTERNAL},
    {"tc_malloc", "/usr/lib/libtcmalloc_minimal.so.4", FRAME_ROLE_INTERNAL},
    {"std::allocator<int>::allocate(unsigned long)", "app", FRAME_ROLE_WRAPPER},
    {"__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)", "app",
     FRAME_ROLE_WRAPPER},
    {"std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >::_M_create("
     "unsigned long&, unsigned long)",
     "/lib/libstdc++.so.6", FRAME_ROLE_WRAPPER},
    {"void std::vector<int, std::allocator<int> >::_M_realloc_insert<int const&>(int const&)",
     "app", FRAME_ROLE_WRAPPER},
    {"standard::run()", "app", FRAME_ROLE_PROGRAM},
    {"alloc::raw_vec::RawVec<T,A>::grow_one", "app", FRAME_ROLE_WRAPPER},
    {"<alloc::string::String as core::clone::Clone>::clone", "app", FRAME_ROLE_WRAPPER},
    {"__rust_alloc", "app", FRAME_ROLE_WRAPPER},
    {"alloc::MyPool::take()", "app", FRAME_ROLE_PROGRAM},
    {"core::Engine::load(int)", "app", FRAME_ROLE_PROGRAM},
    {"g_malloc0", "/lib/libglib-2.0.so.0", FRAME_ROLE_WRAPPER},
    {"g_slice_alloc", "/lib/libglib-2.0.so.0", FRAME_ROLE_WRAPPER},
    {"g_object_new", "/lib/libgobject-2.0.so.0", FRAME_ROLE_PROGRAM},
    {"xmalloc", "cc1plus", FRAME_ROLE_WRAPPER},
    {"xstrdup", "git", FRAME_ROLE_WRAPPER},
    {"xml_parse", "git", FRAME_ROLE_PROGRAM},
    {"strdup", "/lib/libc.so.6", FRAME_ROLE_WRAPPER},
    {"sqlite3MemMalloc", "/lib/libsqlite3.so.0", FRAME_ROLE_WRAPPER},
    {"dbMallocRawFinish", "sqlite3", FRAME_ROLE_WRAPPER},
    {"sqlite3_malloc64", "sqlite3", FRAME_ROLE_WRAPPER},
    {"sqlite3_exec", "sqlite3", FRAME_ROLE_PROGRAM},
    {"PyMem_Malloc", "python3.11", FRAME_ROLE_WRAPPER},
    {"PyObject_Malloc", "python3.11", FRAME_ROLE_WRAPPER},
    {"_PyObject_GC_New", "python3.11", FRAME_ROLE_WRAPPER},
    {"PyObject_Call", "python3.11", FRAME_ROLE_PROGRAM},
    {"zmalloc", "redis-server", FRAME_ROLE_WRAPPER},
    {"zmalloc_usable", "redis-server", FRAME_ROLE_WRAPPER},
    {"zslInsert", "redis-server", FRAME_ROLE_PROGRAM},
    {"ngx_alloc", "nginx", FRAME_ROLE_WRAPPER},
    {"ngx_http_init", "nginx", FRAME_ROLE_PROGRAM},
};

#define ROLES (int)(sizeof(roles) / sizeof(*roles))

START_TEST(role_known)
{
	struct profile_frame frame = {.function = roles[_i].function, .module = roles[_i].module};

	ck_assert_msg(frame_rules_role(&frame) == roles[_i].role, "%s in %s", frame.function,
		      frame.module);
}
END_TEST

/* Bare names, as -g1 has them, are judged by where their code stands. */
START_TEST(role_by_file)
{
	static const struct {
		const char *file;
		enum frame_role role;
	} files[] = {
	    {NULL, FRAME_ROLE_PROGRAM},
	    {"/home/me/vector.h", FRAME_ROLE_PROGRAM},
	    {"/usr/include/c++/12/bits/vector.tcc", FRAME_ROLE_WRAPPER},
	    {"/usr/lib/llvm-14/include/c++/v1/vector", FRAME_ROLE_WRAPPER},
	    {"/rustc/59807616/library/alloc/src/vec/mod.rs", FRAME_ROLE_WRAPPER},
	    {"/home/me/rustc/library/parse.rs", FRAME_ROLE_PROGRAM},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		struct profile_frame frame = {.function = "push_back", .file = files[i].file};

		ck_assert_int_eq(frame_rules_role(&frame), files[i].role);
	}
}
END_TEST

#define MAX 8

static void build(const char *const *functions, struct profile_frame *store,
		  const struct profile_frame **frames, size_t *count)
{
	for (*count = 0; functions[*count]; ++*count) {
		store[*count] = (struct profile_frame){.function = functions[*count],
						       .module = "/lib/libc.so.6"};
		frames[*count] = &store[*count];
	}
}

START_TEST(stacks)
{
	static const struct {
		const char *functions[MAX];
		size_t trim, site;
	} cases[] = {
	    {{"main"}, 0, 0},
	    {{"operator new(unsigned long)", "main"}, 1, 1},
	    {{"_int_malloc", "malloc", "operator new(unsigned long)", "xmalloc", "f", "main"},
	     3,
	     4},
	    {{"strdup", "f", "malloc", "main"}, 0, 1},
	    {{"f", "operator new(unsigned long)", "main"}, 0, 0},
	    /* never all */
	    {{"malloc"}, 0, 0},
	    {{"malloc", "operator new(unsigned long)"}, 1, 0},
	    {{"xmalloc", "std::vector<int>::push_back(int)"}, 0, 0},
	};
	struct profile_frame store[MAX];
	const struct profile_frame *frames[MAX];
	size_t count;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		build(cases[i].functions, store, frames, &count);
		ck_assert_uint_eq(frame_rules_trim(frames, count), cases[i].trim);
		ck_assert_uint_eq(frame_rules_site(frames, count), cases[i].site);
	}
	ck_assert_uint_eq(frame_rules_trim(NULL, 0), 0);
	ck_assert_uint_eq(frame_rules_site(NULL, 0), 0);
}
END_TEST

/* A role that the symbolizer noted is believed. */
START_TEST(noted_role)
{
	struct profile_frame wrapper = {.function = "f", .role = FRAME_ROLE_WRAPPER};
	struct profile_frame program = {.function = "xmalloc", .role = FRAME_ROLE_PROGRAM};
	const struct profile_frame *frames[] = {&wrapper, &program};

	ck_assert_uint_eq(frame_rules_site(frames, 2), 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("frame_rules");
	TCase *plain = tcase_create("plain");
	TCase *rules = tcase_create("rules");

	tcase_add_loop_test(plain, plain_known, 0, NAMES);
	tcase_add_test(plain, plain_small_room);
	tcase_add_test(plain, plain_hostile);
	tcase_add_loop_test(rules, role_known, 0, ROLES);
	tcase_add_test(rules, role_by_file);
	tcase_add_test(rules, stacks);
	tcase_add_test(rules, noted_role);
	suite_add_tcase(suite, plain);
	suite_add_tcase(suite, rules);
	return support_run(suite);
}
