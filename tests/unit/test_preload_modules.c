/* Modules as the loader moves them: each address belongs to whom it belonged then. */
#include "modules.h"

#include <dlfcn.h>
#include <link.h>

#include "preload_support.h"
#include "preload_view.h"

#define PLUGINS 6

struct plugin {
	char path[PATH_MAX];
	void *handle;
	uintptr_t pc; /* within its code, while loaded */
};

static struct plugin plugins[PLUGINS];
static struct view view;

static void setup(void)
{
	char command[8 * PATH_MAX];

	support_enter();
	support_create();
	modules_init("/the/executable");
	modules_note_all();
	for (int i = 0; i < PLUGINS; i++) {
		snprintf(plugins[i].path, PATH_MAX, "%.100s/plugin%d.so", support_folder, i);
		snprintf(command, sizeof(command), "cp '%.4000s' '%.200s'",
			 i % 3 == 2 ? PLUGIN_LARGE : PLUGIN_SMALL, plugins[i].path);
		ck_assert_int_eq(system(command), 0);
	}
}

static void load(struct plugin *plugin)
{
	plugin->handle = dlopen(plugin->path, RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(plugin->handle != NULL, "%s", dlerror());
	plugin->pc = (uintptr_t)dlsym(plugin->handle, "plugin_call") + 1;
}

static void unload(struct plugin *plugin)
{
	ck_assert_int_eq(dlclose(plugin->handle), 0);
	plugin->handle = NULL;
	modules_unloaded();
}

static void look(void)
{
	ck_assert_int_eq(view_read("t", &view), 0);
	ck_assert_uint_eq(view.bad_segments, 0);
	ck_assert_uint_lt(view.modules, 1024);
}

/* The reader's rule: of those that hold it, the one whose epoch is the greatest not above. */
static const char *owner(uintptr_t pc, uint32_t epoch)
{
	const struct view_module *found = NULL;

	for (size_t i = 0; i < view.modules; i++) {
		const struct view_module *module = &view.module[i];

		if (pc >= module->head.start && pc < module->head.end &&
		    module->head.epoch <= epoch &&
		    (!found || module->head.epoch >= found->head.epoch))
			found = module;
	}
	return found ? found->path : "nobody";
}

/* As an event's stack would do it: the epoch asked first, the module then noted. */
static uint32_t meet(uintptr_t pc)
{
	uint32_t epoch = modules_epoch(pc);

	modules_note(pc);
	return epoch;
}

START_TEST(at_the_start)
{
	struct dl_find_object object;

	look();
	ck_assert_uint_ge(view.modules, 3);
	ck_assert_uint_eq(view.unloads, 0);
	ck_assert_str_eq(owner((uintptr_t)at_the_start, 0), "/the/executable");
	ck_assert_ptr_nonnull(strstr(owner((uintptr_t)dlsym(RTLD_DEFAULT, "getenv"), 0), "libc"));
	for (size_t i = 0; i < view.modules; i++) {
		const struct trace_module *head = &view.module[i].head;

		ck_assert_uint_eq(head->epoch, 0);
		ck_assert_uint_eq(head->tick, 0);
		ck_assert_int_eq(_dl_find_object((void *)head->start, &object), 0);
		ck_assert_uint_eq((uintptr_t)object.dlfo_map_end, head->end);
		ck_assert_uint_eq(object.dlfo_link_map->l_addr, head->bias);
	}
	/* Known, so that meeting their code says nothing new. */
	meet((uintptr_t)at_the_start);
	meet((uintptr_t)dlsym(RTLD_DEFAULT, "getenv"));
	meet(0x1234);
	ck_assert_uint_eq(modules_epoch((uintptr_t)at_the_start), 0);
}
END_TEST

/* ELF notes of the file, read without the loader. */
static bool file_holds(const char *path, const uint8_t *bytes, size_t count)
{
	size_t size;
	uint8_t *content = support_read(path, &size);
	bool found = memmem(content, size, bytes, count) != NULL;

	free(content);
	return found;
}

START_TEST(met_later)
{
	struct support_trace trace;
	const struct support_segment *last;
	const struct trace_module *module;
	size_t before;

	look();
	before = view.modules;
	load(&plugins[0]);
	ck_assert_uint_eq(meet(plugins[0].pc), 0);
	meet(plugins[0].pc + 1);
	look();
	ck_assert_uint_eq(view.modules, before + 1);
	ck_assert_str_eq(owner(plugins[0].pc, 0), plugins[0].path);
	trace = support_parse("t");
	last = support_nth(&trace, TRACE_SEGMENT_MODULE, before);
	module = (const void *)last->payload;
	ck_assert_uint_eq(module->build_id_bytes, 20);
	ck_assert(file_holds(plugins[0].path, last->payload + sizeof(*module), 20));
	support_trace_free(&trace);
}
END_TEST

/* Only what went is said to have gone. */
START_TEST(unloaded)
{
	load(&plugins[0]);
	load(&plugins[1]);
	meet(plugins[0].pc);
	meet(plugins[1].pc);
	modules_unloaded();
	look();
	ck_assert_uint_eq(view.unloads, 0);
	unload(&plugins[0]);
	look();
	ck_assert_uint_eq(view.unloads, 1);
	ck_assert_str_eq(view.module[view.unload[0].module].path, plugins[0].path);
	ck_assert_uint_ne(modules_epoch(plugins[0].pc), 0);
	ck_assert_uint_eq(modules_epoch(plugins[1].pc), 0);
}
END_TEST

START_TEST(loaded_again)
{
	uintptr_t place;
	size_t before;

	load(&plugins[0]);
	place = plugins[0].pc;
	meet(place);
	look();
	before = view.modules;
	for (int i = 0; i < 30; i++) {
		unload(&plugins[0]);
		load(&plugins[0]);
		ck_assert_uint_eq(plugins[0].pc, place);
		ck_assert_uint_eq(meet(place), 0);
	}
	look();
	ck_assert_uint_eq(view.modules, before);
	ck_assert_uint_eq(view.unloads, 30);
}
END_TEST

/* Two that have one place in turn keep an epoch each, however often they change. */
START_TEST(in_turn)
{
	uintptr_t place = 0;
	size_t before;

	look();
	before = view.modules;
	for (int i = 0; i < 40; i++) {
		struct plugin *plugin = &plugins[i % 2];

		load(plugin);
		if (!place)
			place = plugin->pc;
		ck_assert_uint_eq(plugin->pc, place);
		ck_assert_uint_eq(meet(plugin->pc), i % 2);
		unload(plugin);
	}
	look();
	ck_assert_uint_eq(view.modules, before + 2);
	ck_assert_str_eq(owner(place, 0), plugins[0].path);
	ck_assert_str_eq(owner(place, 1), plugins[1].path);
}
END_TEST

/* Places that overlap in all ways: what is loaded is found under its own name at every step. */
START_TEST(shuffled)
{
	uint64_t seed = (uint64_t)_i;

	for (int step = 0; step < 150; step++) {
		struct plugin *plugin = &plugins[support_random(&seed) % PLUGINS];
		uint32_t epochs[PLUGINS];

		if (plugin->handle)
			unload(plugin);
		else
			load(plugin);
		for (int i = 0; i < PLUGINS; i++)
			epochs[i] = plugins[i].handle ? meet(plugins[i].pc) : 0;
		look();
		for (int i = 0; i < PLUGINS; i++)
			if (plugins[i].handle)
				ck_assert_msg(
				    strcmp(owner(plugins[i].pc, epochs[i]), plugins[i].path) == 0,
				    "step %d: %s, epoch %u, is said to be %s", step,
				    plugins[i].path, epochs[i], owner(plugins[i].pc, epochs[i]));
	}
	ck_assert_uint_gt(view.unloads, 50);
}
END_TEST

/* A child of a fork tells all the parent knew to its own file. */
START_TEST(forked)
{
	struct trace_header header = support_header();
	size_t before;

	load(&plugins[0]);
	meet(plugins[0].pc);
	look();
	before = view.modules;
	trace_file_forked();
	ck_assert_int_eq(trace_file_create("u", &header), 0);
	modules_forked();
	ck_assert_int_eq(view_read("u", &view), 0);
	ck_assert_uint_eq(view.modules, before);
	ck_assert_str_eq(owner(plugins[0].pc, 0), plugins[0].path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("preload modules");
	TCase *tests = tcase_create("modules");

	tcase_add_checked_fixture(tests, setup, support_leave);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, at_the_start);
	tcase_add_test(tests, met_later);
	tcase_add_test(tests, unloaded);
	tcase_add_test(tests, loaded_again);
	tcase_add_test(tests, in_turn);
	tcase_add_loop_test(tests, shuffled, 0, 4);
	tcase_add_test(tests, forked);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
