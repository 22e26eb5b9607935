#include "symbol_libdw_section.h"

#include <gelf.h>
#include <string.h>

static bool same_byte_order(Elf *elf)
{
	const char *ident = elf ? elf_getident(elf, NULL) : NULL;

	return ident && ident[EI_DATA] == ELFDATA2LSB && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
}

struct libdw_bytes libdw_section(Elf *elf, const char *wanted)
{
	struct libdw_bytes nothing = {NULL, NULL, false};
	Elf_Scn *section = NULL;
	size_t names;

	if (!same_byte_order(elf) || elf_getshdrstrndx(elf, &names) != 0)
		return nothing;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr head;
		const char *name;
		Elf_Data *data;

		if (!gelf_getshdr(section, &head) || head.sh_type == SHT_NOBITS ||
		    (head.sh_flags & SHF_COMPRESSED))
			continue;
		name = elf_strptr(elf, names, head.sh_name);
		if (!name || strcmp(name, wanted) != 0)
			continue;
		data = elf_rawdata(section, NULL);
		if (!data || !data->d_buf)
			return nothing;
		return (struct libdw_bytes){data->d_buf,
					    (const uint8_t *)data->d_buf + data->d_size, false};
	}
	return nothing;
}
