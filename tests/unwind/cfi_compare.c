/*
 * Compares the CFI interpreter with readelf, row by row:
 *
 *     readelf --debug-dump=frames-interp LIBRARY | cfi_compare LIBRARY
 *
 * The library is laid out in memory as the loader would, so that .eh_frame_hdr is searched and
 * .eh_frame read as in a running program. For each row of each FDE that readelf prints, the row
 * that the interpreter finds for that pc must say the same of the CFA and of every register. What
 * kind of rule each row makes is counted and printed. Exit status 0: all equal.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cfi.h"
#include "unwind_rule.h"

#define COLUMNS_MAX 80
#define SHOWN_MAX   10
#define CIES_MAX    4096

/* A row as readelf prints it: the words of the line, the first of which is the pc. */
struct row {
	char text[1024];
	char *words[COLUMNS_MAX];
	int count;
};

struct library {
	struct cfi_module module;
	uintptr_t bias;
};

static struct {
	unsigned long fdes, rows, different, missing;
	unsigned long kinds[8];
} counts;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void place_segments(struct library *library, const char *file, int fd, const Elf64_Ehdr *elf)
{
	const Elf64_Phdr *headers = (const Elf64_Phdr *)(file + elf->e_phoff);
	uintptr_t top = 0;
	char *memory;

	for (int i = 0; i < elf->e_phnum; i++)
		if (headers[i].p_type == PT_LOAD && headers[i].p_vaddr + headers[i].p_memsz > top)
			top = headers[i].p_vaddr + headers[i].p_memsz;
	memory = mmap(NULL, top, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		die("mmap");
	for (int i = 0; i < elf->e_phnum; i++) {
		if (headers[i].p_type == PT_LOAD &&
		    pread(fd, memory + headers[i].p_vaddr, headers[i].p_filesz,
			  (off_t)headers[i].p_offset) != (ssize_t)headers[i].p_filesz)
			die("pread");
		if (headers[i].p_type == PT_GNU_EH_FRAME)
			library->module.hdr = (uintptr_t)memory + headers[i].p_vaddr;
	}
	library->bias = (uintptr_t)memory;
	library->module.start = (uintptr_t)memory;
	library->module.end = (uintptr_t)memory + top;
}

static struct library load(const char *path)
{
	struct library library = {.bias = 0};
	struct stat status;
	int fd = open(path, O_RDONLY);
	char *file;

	if (fd < 0 || fstat(fd, &status) < 0)
		die(path);
	file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED)
		die(path);
	place_segments(&library, file, fd, (const Elf64_Ehdr *)file);
	if (!library.module.hdr)
		die("no PT_GNU_EH_FRAME");
	return library;
}

static bool next_line(struct row *row)
{
	char *at = row->text, *word;

	if (!fgets(row->text, sizeof(row->text), stdin))
		return false;
	row->count = 0;
	while (row->count < COLUMNS_MAX && (word = strsep(&at, " \t\n"))) {
		size_t length = strlen(word);

		if (!length)
			continue;
		if (*word == '(' && row->count) { /* "r1 (rdx)": the name is what counts */
			word[length - 1] = 0;
			row->words[row->count - 1] = word + 1;
		} else {
			row->words[row->count++] = word;
		}
	}
	return true;
}

static void copy_row(struct row *to, const struct row *from)
{
	*to = *from;
	for (int i = 0; i < to->count; i++)
		to->words[i] = to->text + (from->words[i] - from->text);
}

/* DWARF number of a register that readelf names; -1: none of those we keep. */
static int register_number(const char *name)
{
#if defined(__x86_64__)
	static const char *const names[ARCH_CFI_REGISTERS] = {
	    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
	    "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "ra"};

	for (int i = 0; i < ARCH_CFI_REGISTERS; i++)
		if (strcmp(names[i], name) == 0)
			return i;
#else
	char expected[8];

	for (int i = 0; i < 31; i++) {
		snprintf(expected, sizeof(expected), "x%d", i);
		if (strcmp(expected, name) == 0)
			return i;
	}
	if (strcmp(name, "sp") == 0)
		return ARCH_CFI_SP;
	if (strcmp(name, "ra") == 0)
		return ARCH_CFI_RA;
#endif
	return -1;
}

static bool same_place(const struct cfi_place *place, const char *word)
{
	char ours[32];

	switch (place->kind) {
	case CFI_SAME: /* readelf prints u for what CFI is silent about */
		return strcmp(word, "s") == 0 || strcmp(word, "u") == 0;
	case CFI_UNDEFINED:
		return strcmp(word, "u") == 0;
	case CFI_OFFSET:
		snprintf(ours, sizeof(ours), "c%+d", place->offset);
		return strcmp(word, ours) == 0;
	case CFI_VALUE:
		snprintf(ours, sizeof(ours), "v%+d", place->offset);
		return strcmp(word, ours) == 0;
	case CFI_REGISTER:
		return register_number(word) == place->offset;
	case CFI_EXPRESSION:
		return strcmp(word, "exp") == 0;
	default:
		return strcmp(word, "vexp") == 0;
	}
}

static bool same_cfa(const struct cfi_row *row, const char *word)
{
	char name[32];
	size_t length = strcspn(word, "+-");

	if (row->cfa_expression)
		return strcmp(word, "exp") == 0;
	if (length >= sizeof(name) || !word[length])
		return false;
	memcpy(name, word, length);
	name[length] = 0;
	return register_number(name) == (int)row->cfa_register &&
	       atoi(word + length) == row->cfa_offset;
}

static bool same_row(const struct cfi_row *ours, const struct row *head, const struct row *theirs)
{
	if (theirs->count != head->count || !same_cfa(ours, theirs->words[1]))
		return false;
	for (int i = 2; i < head->count; i++) {
		int reg = register_number(head->words[i]);

		if (reg >= 0 && !same_place(&ours->place[reg], theirs->words[i]))
			return false;
	}
	return true;
}

static void complain(const char *what, uintptr_t pc, const struct row *theirs)
{
	if (counts.different + counts.missing > SHOWN_MAX)
		return;
	printf("%s at %#lx:", what, (unsigned long)pc);
	for (int i = 0; i < theirs->count; i++)
		printf(" %s", theirs->words[i]);
	printf("\n");
}

/* Checks the row that holds at `pc`, an address as readelf prints them. */
static void check(const struct library *library, uintptr_t pc, const struct row *head,
		  const struct row *theirs)
{
	struct cfi_fde fde;
	struct cfi_row ours;
	int error = cfi_find(&library->module, pc + library->bias, &fde);

	counts.rows++;
	if (error == -ENOTSUP) { /* has no rule, and the general unwinder guesses */
		counts.kinds[UNWIND_RULE_NO_CFI]++;
		return;
	}
	if (error != 0 || cfi_row(&library->module, &fde, pc + library->bias, &ours) != 0) {
		counts.missing++;
		complain("not found", pc, theirs);
		return;
	}
	if (!same_row(&ours, head, theirs)) {
		counts.different++;
		complain("different", pc, theirs);
		return;
	}
	counts.kinds[fde.signal_frame
			 ? UNWIND_RULE_GENERAL
			 : unwind_rule_kind(unwind_rule_from_row(&library->module, &ours))]++;
}

static bool is_row(const struct row *row)
{
	return row->count >= 2 && strspn(row->words[0], "0123456789abcdef") == 16 &&
	       row->words[0][16] == 0 && strcmp(row->words[1], "ZERO") != 0;
}

/* The row of a CIE, which holds in FDEs that have none of their own. */
struct cie {
	struct row head, row;
	unsigned long offset;
};

static struct cie cies[CIES_MAX];
static unsigned cie_count;

/* Reads the table after a CIE's or FDE's line: its head, then rows. `row` is then what follows. */
static bool read_head(struct row *row, struct row *head)
{
	head->count = 0;
	if (!next_line(row))
		return false;
	if (row->count == 0 || strcmp(row->words[0], "LOC") != 0)
		return true;
	copy_row(head, row);
	return next_line(row);
}

static bool keep_cie(unsigned long offset, struct row *row)
{
	struct cie *cie = &cies[cie_count % CIES_MAX];
	bool more = read_head(row, &cie->head);

	if (!more || !cie->head.count || !is_row(row))
		return more;
	copy_row(&cie->row, row);
	cie->offset = offset;
	cie_count++;
	return more;
}

static void check_rowless(const struct library *library, unsigned long cie, uintptr_t start,
			  uintptr_t end)
{
	for (unsigned i = 0; i < cie_count && i < CIES_MAX; i++) {
		if (cies[i].offset != cie || end <= start)
			continue;
		check(library, start, &cies[i].head, &cies[i].row);
		check(library, end - 1, &cies[i].head, &cies[i].row);
		return;
	}
	counts.missing++;
}

/* Checks an FDE's rows: each at its first and at its last pc. `row` is then the line after. */
static bool check_fde(const struct library *library, unsigned long cie, uintptr_t start,
		      uintptr_t end, struct row *row)
{
	static struct row head, last;
	uintptr_t pc = start;
	bool more = read_head(row, &head);

	counts.fdes++;
	last.count = 0;
	for (; head.count && more && is_row(row); more = next_line(row)) {
		uintptr_t next = strtoul(row->words[0], NULL, 16);

		if (last.count && next > pc) {
			check(library, pc, &head, &last);
			check(library, next - 1, &head, &last);
		}
		copy_row(&last, row);
		pc = next;
	}
	if (last.count && end > pc) {
		check(library, pc, &head, &last);
		check(library, end - 1, &head, &last);
	}
	if (!last.count)
		check_rowless(library, cie, start, end);
	return more;
}

int main(int argc, char **argv)
{
	static struct row row;
	struct library library;
	bool more;

	if (argc != 2) {
		fprintf(stderr, "usage: readelf --debug-dump=frames-interp FILE | %s FILE\n",
			argv[0]);
		return 2;
	}
	library = load(argv[1]);
	more = next_line(&row);
	while (more) {
		uintptr_t start, end;
		unsigned long cie;

		if (row.count >= 6 && strcmp(row.words[3], "FDE") == 0 &&
		    sscanf(row.words[4], "cie=%lx", &cie) == 1 &&
		    sscanf(row.words[5], "pc=%lx..%lx", &start, &end) == 2)
			more = check_fde(&library, cie, start, end, &row);
		else if (row.count >= 4 && strcmp(row.words[3], "CIE") == 0)
			more = keep_cie(strtoul(row.words[0], NULL, 16), &row);
		else
			more = next_line(&row);
	}
	printf("%s: %lu FDEs, %lu rows: %lu different, %lu not found; rules: %lu sp, %lu fp, "
	       "%lu realigned, %lu end, %lu general, %lu unsupported\n",
	       argv[1], counts.fdes, counts.rows, counts.different, counts.missing,
	       counts.kinds[UNWIND_RULE_SP], counts.kinds[UNWIND_RULE_FP],
	       counts.kinds[UNWIND_RULE_REALIGN], counts.kinds[UNWIND_RULE_END],
	       counts.kinds[UNWIND_RULE_GENERAL], counts.kinds[UNWIND_RULE_NO_CFI]);
	return counts.different || counts.missing || !counts.rows;
}
