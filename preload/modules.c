#include "modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>

#include "clock.h"
#include "stop.h"
#include "trace_file.h"
#include "unwind.h"

#define MODULES_MAX	4096
#define RETIRED_MAX	256
#define FOUND_SLOTS	256
#define BUILD_ID_MAX	64
#define PATH_POOL_BYTES (256 * 1024)

struct module {
	uintptr_t start, end, bias;
	const char *path; /* our copy, for ever */
	uint64_t path_hash;
	uint8_t build_id[BUILD_ID_MAX];
	uint32_t build_id_bytes;
	uint32_t epoch;
	atomic_bool live;  /* relaxed: a stale value costs one look-up */
	atomic_bool ready; /* release after the fields above, acquire before them */
};

/*
 * An address range some library left, perhaps with others beside it; `epoch` is the greatest that
 * leaving gave it. All relaxed: an entry half made covers too little, as it did before.
 */
struct retired {
	_Atomic uintptr_t start, end;
	atomic_uint epoch;
};

atomic_bool modules_any_unloaded;

static struct module modules[MODULES_MAX];
static atomic_uint module_count;	   /* relaxed; `ready` guards the entries */
static atomic_ushort guesses[FOUND_SLOTS]; /* by page: guesses, checked */
static struct retired retired[RETIRED_MAX];
static atomic_uint retired_count;
static atomic_uint last_epoch;
static const char *executable_path;
static char path_pool[PATH_POOL_BYTES];
static atomic_size_t path_bytes_used;

/* Weak: older C libraries and musl do not have it. */
extern int _dl_find_object(void *address, struct dl_find_object *result) __attribute__((weak));

static bool covers(const struct module *module, uintptr_t pc)
{
	return pc >= module->start && pc < module->end;
}

static unsigned known_count(void)
{
	unsigned count = atomic_load_explicit(&module_count, memory_order_relaxed);

	return count < MODULES_MAX ? count : MODULES_MAX;
}

static bool is_usable(struct module *module)
{
	return atomic_load_explicit(&module->ready, memory_order_acquire) &&
	       atomic_load_explicit(&module->live, memory_order_relaxed);
}

static struct module *find_live(uintptr_t pc)
{
	atomic_ushort *slot = &guesses[(pc >> 12) % FOUND_SLOTS];
	unsigned guess = atomic_load_explicit(slot, memory_order_relaxed);
	unsigned count = known_count();

	if (guess < count && is_usable(&modules[guess]) && covers(&modules[guess], pc))
		return &modules[guess];
	for (unsigned i = 0; i < count; i++) {
		if (!is_usable(&modules[i]) || !covers(&modules[i], pc))
			continue;
		atomic_store_explicit(slot, (unsigned short)i, memory_order_relaxed);
		return &modules[i];
	}
	return NULL;
}

/* FNV-1a: paths need to be told apart, not defended. */
static uint64_t hash_path(const char *path)
{
	uint64_t hash = 0xcbf29ce484222325U;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 0x100000001b3U;
	return hash;
}

/* Copies the build-id out of the notes at [notes, notes + bytes). ELF gABI, "Note Section". */
static void take_build_id(struct module *module, const char *notes, size_t bytes)
{
	while (bytes >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *note = (const void *)notes;
		size_t name = (note->n_namesz + 3U) & ~3U;
		size_t size = sizeof(*note) + name + ((note->n_descsz + 3U) & ~3U);

		if (size > bytes || name > bytes)
			return;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
		    memcmp(note + 1, "GNU", 4) == 0 && note->n_descsz <= BUILD_ID_MAX) {
			module->build_id_bytes = note->n_descsz;
			memcpy(module->build_id, (const char *)(note + 1) + name, note->n_descsz);
			return;
		}
		notes += size;
		bytes -= size;
	}
}

/* Whether the file's headers say that [vaddr, vaddr + bytes) is mapped readable. */
static bool is_loaded(const ElfW(Phdr) * headers, unsigned count, ElfW(Addr) vaddr, size_t bytes)
{
	for (unsigned i = 0; i < count; i++)
		if (headers[i].p_type == PT_LOAD && (headers[i].p_flags & PF_R) &&
		    vaddr >= headers[i].p_vaddr &&
		    vaddr + bytes <= headers[i].p_vaddr + headers[i].p_filesz)
			return true;
	return false;
}

static void read_notes(struct module *module, const ElfW(Phdr) * headers, unsigned count)
{
	for (unsigned i = 0; i < count && !module->build_id_bytes; i++)
		if (headers[i].p_type == PT_NOTE &&
		    is_loaded(headers, count, headers[i].p_vaddr, headers[i].p_filesz))
			take_build_id(module, (const char *)(module->bias + headers[i].p_vaddr),
				      headers[i].p_filesz);
}

/* The program headers as mapped with the first page, where linkers put them. */
static void read_mapped_headers(struct module *module)
{
	const ElfW(Ehdr) *elf = (const void *)module->start;

	if (module->end - module->start < 4096 || memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0)
		return;
	if (elf->e_phentsize != sizeof(ElfW(Phdr)) ||
	    elf->e_phoff + (size_t)elf->e_phnum * sizeof(ElfW(Phdr)) > 4096)
		return;
	read_notes(module, (const void *)(module->start + elf->e_phoff), elf->e_phnum);
}

/* The loader's own string goes with the library. Cut to nothing when the pool is full. */
static const char *copy_path(const char *path)
{
	size_t bytes = strlen(path) + 1;
	size_t at = atomic_fetch_add_explicit(&path_bytes_used, bytes, memory_order_relaxed);

	if (at + bytes > sizeof(path_pool))
		return "";
	return memcpy(path_pool + at, path, bytes);
}

static void write_module(const struct module *module, uint64_t tick)
{
	size_t path_bytes = strlen(module->path);
	struct trace_module record = {
	    .tick = tick,
	    .bias = module->bias,
	    .start = module->start,
	    .end = module->end,
	    .epoch = module->epoch,
	    .module = (uint32_t)(module - modules),
	    .build_id_bytes = module->build_id_bytes,
	    .path_bytes = (uint32_t)path_bytes,
	};
	struct iovec pieces[3] = {
	    {&record, sizeof(record)},
	    {(void *)module->build_id, module->build_id_bytes},
	    {(void *)module->path, path_bytes},
	};

	trace_file_append(TRACE_SEGMENT_MODULE, record.module, pieces, 3);
}

static bool is_same(const struct module *a, const struct module *b)
{
	return a->start == b->start && a->end == b->end && a->bias == b->bias &&
	       a->path_hash == b->path_hash && a->build_id_bytes == b->build_id_bytes &&
	       memcmp(a->build_id, b->build_id, a->build_id_bytes) == 0;
}

/* The place of ranges that `start` .. `end` overlaps, or NULL. */
static struct retired *find_retired(uintptr_t start, uintptr_t end)
{
	unsigned count = atomic_load_explicit(&retired_count, memory_order_acquire);

	for (unsigned i = 0; i < count && i < RETIRED_MAX; i++)
		if (start < retired[i].end && end > retired[i].start)
			return &retired[i];
	return NULL;
}

/* The epoch of what is loaded at `start` .. `end` now, if it was not known before: above that of
 * all that ever lay there. 0: nothing did. */
static uint32_t epoch_between(uintptr_t start, uintptr_t end)
{
	unsigned count = atomic_load_explicit(&retired_count, memory_order_acquire);
	uint32_t greatest = 0;

	for (unsigned i = 0; i < count && i < RETIRED_MAX; i++) {
		uint32_t epoch = atomic_load_explicit(&retired[i].epoch, memory_order_relaxed);

		if (start < retired[i].end && end > retired[i].start && epoch > greatest)
			greatest = epoch;
	}
	return greatest;
}

/* A module seen before that came back to its place keeps its epoch, and the stacks their ids. */
static bool revive(const struct module *found)
{
	unsigned count = known_count();

	for (unsigned i = 0; i < count; i++) {
		if (!atomic_load_explicit(&modules[i].ready, memory_order_acquire) ||
		    !is_same(&modules[i], found))
			continue;
		atomic_store_explicit(&modules[i].live, true, memory_order_relaxed);
		return true;
	}
	return false;
}

/* `found` has its range, bias and path; the rest is filled in here. */
static void add_module(struct module *found, uint64_t tick)
{
	struct module *module;
	unsigned index;

	found->path_hash = hash_path(found->path);
	read_mapped_headers(found);
	if (revive(found))
		return;
	found->epoch = epoch_between(found->start, found->end);
	index = atomic_fetch_add_explicit(&module_count, 1, memory_order_relaxed);
	if (index >= MODULES_MAX)
		return;
	module = &modules[index];
	module->start = found->start;
	module->end = found->end;
	module->bias = found->bias;
	module->path = copy_path(found->path);
	module->path_hash = found->path_hash;
	memcpy(module->build_id, found->build_id, sizeof(module->build_id));
	module->build_id_bytes = found->build_id_bytes;
	module->epoch = found->epoch;
	STOP_POINT("module.numbered");
	write_module(module, tick);
	STOP_POINT("module.written");
	atomic_store_explicit(&module->live, true, memory_order_relaxed);
	atomic_store_explicit(&module->ready, true, memory_order_release);
}

static const char *path_or_executable(const char *path)
{
	return path && *path ? path : executable_path;
}

static bool look_up(uintptr_t pc, struct dl_find_object *object)
{
	return _dl_find_object && _dl_find_object((void *)pc, object) == 0;
}

void modules_note(uintptr_t pc)
{
	struct dl_find_object object;
	struct module found = {0};

	if (find_live(pc) || !look_up(pc, &object))
		return;
	found.start = (uintptr_t)object.dlfo_map_start;
	found.end = (uintptr_t)object.dlfo_map_end;
	found.bias = object.dlfo_link_map->l_addr;
	found.path = path_or_executable(object.dlfo_link_map->l_name);
	add_module(&found, clock_ticks());
}

static int note_loaded(struct dl_phdr_info *info, size_t bytes, void *unused)
{
	struct module found = {0};
	uintptr_t start = UINTPTR_MAX, end = 0;

	(void)bytes;
	(void)unused;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uintptr_t page = trace_file_page();
		uintptr_t from = info->dlpi_addr + header->p_vaddr;

		if (header->p_type != PT_LOAD)
			continue;
		if ((from & ~(page - 1)) < start)
			start = from & ~(page - 1);
		if (from + header->p_memsz > end)
			end = from + header->p_memsz;
	}
	if (start >= end || find_live(start))
		return 0;
	found.start = start;
	found.end = end;
	found.bias = info->dlpi_addr;
	found.path = path_or_executable(info->dlpi_name);
	read_notes(&found, info->dlpi_phdr, info->dlpi_phnum);
	add_module(&found, 0);
	return 0;
}

void modules_note_all(void)
{
	dl_iterate_phdr(note_loaded, NULL);
}

void modules_init(const char *executable)
{
	executable_path = executable;
}

void modules_forked(void)
{
	unsigned count = known_count();

	for (unsigned i = 0; i < count; i++) {
		struct module *module = &modules[i];

		if (atomic_load_explicit(&module->ready, memory_order_acquire))
			write_module(module, 0);
	}
}

/* What lives at `pc` knows its own epoch, which may be older than that of the place. */
uint32_t modules_epoch(uintptr_t pc)
{
	struct module *module;

	if (!atomic_load_explicit(&modules_any_unloaded, memory_order_acquire))
		return 0;
	module = find_live(pc);
	if (!module) {
		modules_note(pc);
		module = find_live(pc);
	}
	return module ? module->epoch : epoch_between(pc, pc + 1);
}

/* A new epoch for the range. Over-broad ranges are harmless: the reader takes the greatest epoch
 * of a module not above that of the address. */
static void retire(uintptr_t start, uintptr_t end)
{
	uint32_t epoch = atomic_fetch_add_explicit(&last_epoch, 1, memory_order_relaxed) + 1;
	struct retired *place = find_retired(start, end);
	unsigned index;

	if (!place) {
		index = atomic_fetch_add_explicit(&retired_count, 1, memory_order_relaxed);
		if (index >= RETIRED_MAX)
			index = RETIRED_MAX - 1;
		place = &retired[index];
		if (!place->end)
			place->start = start;
		place->end = end;
	}
	if (start < place->start)
		place->start = start;
	if (end > place->end)
		place->end = end;
	atomic_store_explicit(&place->epoch, epoch, memory_order_release);
	atomic_store_explicit(&modules_any_unloaded, true, memory_order_release);
}

static void write_unload(const struct module *module)
{
	struct trace_unload record = {clock_ticks(), (uint32_t)(module - modules), 0};
	struct iovec piece = {&record, sizeof(record)};

	trace_file_append(TRACE_SEGMENT_UNLOAD, record.module, &piece, 1);
}

static bool still_there(const struct module *module)
{
	struct dl_find_object object;

	return look_up(module->start, &object) &&
	       (uintptr_t)object.dlfo_map_start == module->start &&
	       (uintptr_t)object.dlfo_map_end == module->end &&
	       hash_path(path_or_executable(object.dlfo_link_map->l_name)) == module->path_hash;
}

void modules_unloaded(void)
{
	unsigned count = known_count();

	for (unsigned i = 0; i < count && _dl_find_object; i++) {
		struct module *module = &modules[i];

		if (!is_usable(module) || still_there(module))
			continue;
		if (!atomic_exchange_explicit(&module->live, false, memory_order_relaxed))
			continue;
		retire(module->start, module->end);
		unwind_forget(module->start, module->end);
		write_unload(module);
	}
}
