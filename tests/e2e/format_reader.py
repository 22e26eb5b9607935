"""A second reader of traces, written from docs/trace-format.md alone, and a comparison with
memprof-report: format_reader.py MEMPROF REPORT CC, or format_reader.py TRACE to print its sums.

It reads traces recorded with --compress=none and checks no hashes (there is no XXH3 in Python); all
else is as the page says, so page and recorder cannot drift apart unnoticed.
"""
import heapq
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

SEGMENT_MAGIC = 0x1a676573fd706d89
PROCESS, MODULE, UNLOAD, EVENTS, RING, NODES, WIDE = range(1, 8)
MASK = (1 << 64) - 1

# kind -> class, from TRACE_EVENT_KINDS
CLASSES = {**dict.fromkeys([1, 2, 5, 6, 7, 8, 9, 10, 11], "ACQUIRE"), 3: "REALLOC", 4: "REALLOC",
           **dict.fromkeys(range(16, 22), "RELEASE"), 24: "MAP", 25: "UNMAP", 26: "REMAP",
           28: "FAILED", 32: "SAMPLE"}
WORDS = {"ACQUIRE": 4, "RELEASE": 2, "REALLOC": 6, "MAP": 4, "UNMAP": 3, "REMAP": 7, "FAILED": 4,
         "SAMPLE": 2}


class Column:
    def __init__(self, data):
        self.data, self.at, self.last = data, 0, 0

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value & MASK

    def signed(self):
        folded = self.varint()
        return (folded >> 1) ^ -(folded & 1)

    def fresh(self, far):
        """The next address, less what the column's `last` says of it."""
        coded = self.byte()
        if coded >= 128:
            coded += (far.varint() << 7) - 128
        folded = coded >> 1
        difference = ((folded >> 1) ^ -(folded & 1)) * 16 + (self.byte() if coded & 1 else 0)
        return (self.last + difference) & MASK

    def short(self, low):
        byte = self.byte()
        if byte == 255:
            return self.varint()
        return (byte - 128) * 256 + low.byte() if byte >= 128 else byte


def times(column, now, runs):
    """The time of each event, without end where no more changes are told."""
    while not runs or column.at < len(column.data):
        for _ in range(column.varint() if runs else 0):
            yield now
        now += column.varint()
        if not runs:
            yield now
    while True:
        yield now


def segments(data):
    """Offset, type, index, payload bytes of each; heads are believed by their magic."""
    at = struct.unpack_from("=I", data, 12)[0]
    while at + 64 <= len(data):
        magic, kind, index, size, payload = struct.unpack_from("=QIIQQ", data, at)
        if magic != SEGMENT_MAGIC:
            at += 64
            continue
        yield at, kind, index, payload
        at += (size + 63) & ~63


class Shape:
    """What events have in common, as DEFINITION has it; `size` is that of the last of them."""

    def __init__(self, definition):
        self.kind, self.size = definition.byte(), 0
        self.name = CLASSES[self.kind]
        if self.name not in ("RELEASE", "UNMAP", "SAMPLE"):
            self.aux = definition.byte()
            definition.last += definition.signed()
            self.stack = definition.last

    def next_size(self, sizes, low):
        code = sizes.short(low)
        if code == 1:
            self.size = sizes.varint()
        elif code:
            self.size = code - 2
        return self.size


def known_address(addresses, column, low):
    """Takes an address that stood before; None: it is fresh, and yet to be appended."""
    ago = column.short(low)
    assert ago <= len(addresses), "an address that stood before"
    if ago:
        addresses.append(addresses[-ago])
    return addresses[-1] if ago else None


def acquired_address(addresses, column, low, fresh, far, size):
    if known_address(addresses, column, low) is None:
        addresses.append(fresh.fresh(far))
        fresh.last = (addresses[-1] + max(32, (size + 23 & MASK) // 16 * 16)) & MASK
    return addresses[-1]


def released_address(addresses, column, low, released, far):
    if known_address(addresses, column, low) is None:
        addresses.append(released.fresh(far))
        released.last = addresses[-1] or released.last
    return addresses[-1]


def column_events(data, at, payload, group):
    """The events of an EVENTS segment, as dicts, with the ticks widened again. `group` is what the
    ring's segment before left, and takes what the next one may need."""
    fields = struct.unpack_from("=4I3Q2Q2QQ16s11I4B", data, at)
    count, first_tick, (compression, flags, shift, _) = fields[3], fields[7], fields[-4:]
    if compression:
        sys.exit("format_reader: record with --compress=none")
    place, columns = at + 144, []
    for length in fields[13:24]:
        columns.append(Column(data[place:place + length]))
        place += length
    assert place == at + payload, "columns fill the payload"
    assert count <= 65536
    (shape_column, time, address, size, definition, fresh, extra, address_low, size_low,
     released, far) = columns
    clock = times(time, first_tick >> shift, flags & 1)
    if not flags & 2:
        group.update(shapes=[], addresses=[], stack=0, fresh=0, released=0)
    shapes, addresses = group["shapes"], group["addresses"]
    definition.last, fresh.last = group["stack"], group["fresh"]
    released.last = group["released"]
    for _ in range(count):
        number = shape_column.varint()
        if number == 0:
            shapes.append(Shape(definition))
        shape = shapes[number - 1]
        name = shape.name
        event = {"class": name, "kind": shape.kind, "tick": next(clock) << shift}
        if name not in ("RELEASE", "UNMAP", "SAMPLE"):
            event["stack"] = shape.stack
        if name != "RELEASE":
            event["size"] = shape.next_size(size, size_low)
        if name in ("REALLOC", "REMAP"):
            event["old"] = released_address(addresses, address, address_low, released, far)
            event["released"] = event["tick"] - (extra.varint() << shift)
        if name == "REMAP":
            extra.varint()
        if name == "FAILED":
            extra.byte()
        elif name in ("RELEASE", "UNMAP"):
            event["address"] = released_address(addresses, address, address_low, released, far)
        elif name != "SAMPLE":
            event["address"] = acquired_address(addresses, address, address_low, fresh, far,
                                                event["size"])
        yield event
    group.update(stack=definition.last, fresh=fresh.last, released=released.last)
    assert all(column.at == len(column.data) for column in columns), "columns are used up"


def stage_payload(data, at, position, end):
    """The parts of a stage put together to what would have been the next EVENTS segment."""
    head, columns, total = bytearray(data[at:at + 144]), [b""] * 11, 0
    assert struct.unpack_from("=Q", head, 16)[0] == position
    at += 144
    while position < end:
        start, position_after, last_tick, count, size, *lengths = struct.unpack_from(
            "=3Q2I11I", data, at)
        assert start == position and size % 8 == 0 and 80 + sum(lengths) <= size
        place = at + 80
        for column, length in enumerate(lengths):
            columns[column] += data[place:place + length]
            place += length
        position, total, at = position_after, total + count, at + size
    assert position == end, "the last part ends where the words begin"
    struct.pack_into("=I", head, 12, total)
    struct.pack_into("=Q", head, 24, end)
    struct.pack_into("=Q", head, 48, last_tick)
    struct.pack_into("=11I", head, 96, *map(len, columns))
    return bytes(head) + b"".join(columns)


def ring_events(words, shift):
    at = 0
    while at < len(words):
        first = words[at]
        name = CLASSES[first & 255]
        rest = words[at + 1:at + WORDS[name]]
        event = {"class": name, "kind": first & 255, "tick": first >> 8 >> shift << shift}
        if name == "SAMPLE":
            event["size"] = rest[0]
        else:
            event["address"] = rest[0]
            event["size"] = rest[1] if len(rest) > 1 else 0
        if name in ("REALLOC", "REMAP"):
            event["old"] = rest[3]
            event["released"] = rest[4] >> shift << shift
        if name not in ("RELEASE", "UNMAP", "SAMPLE"):
            event["stack"] = rest[2] & 0xffffffff
        yield event
        at += WORDS[name]


def read_events(data):
    """All events of all rings; those of one ring are in order."""
    rings, flushes = {}, {}
    offset = max(4096, struct.unpack_from("=I", data, 24)[0])
    shift = struct.unpack_from("=I", data, 92)[0]
    for at, kind, index, payload in segments(data):
        if kind == RING:
            head, flushed = struct.unpack_from("=QQ", data, at + 64)
            staged, word_bytes = struct.unpack_from("=QQ", data, at + 64 + 64)
            assert (head - flushed) * 8 <= word_bytes
            words = struct.unpack_from(f"={head - flushed}Q", data, at + offset)
            rings[index] = (flushed, words, staged, at + offset + word_bytes)
        elif kind == EVENTS:
            ring = struct.unpack_from("=I", data, at + 64)[0]
            start, end = struct.unpack_from("=QQ", data, at + 64 + 16)
            assert data[at + 64 + 142] >= shift
            flushes.setdefault(ring, []).append((start, end, at + 64, payload))
    for index, (flushed, words, staged, stage) in rings.items():
        position, events, group = 0, [], {}
        for start, end, at, payload in sorted(flushes.get(index, [])):
            assert start == position, "no gap between flushes"
            events += column_events(data, at, payload, group)
            position = end
        if position < flushed:
            assert position == staged, "the stage goes on where segments end"
            payload = stage_payload(data, stage, staged, flushed)
            events += column_events(payload, 0, len(payload), group)
            position = flushed
        yield events + list(ring_events(words[position - flushed:], shift))


def nodes(data):
    """id -> (parent, pc) of every node written."""
    regions = struct.unpack_from("=128I", data, 320)
    found = {}
    for at, kind, index, _ in segments(data):
        if kind != NODES:
            continue
        for word_index, word in enumerate(struct.unpack_from("=8192Q", data, at)):
            region = word >> 32 & 63
            if word_index >= 8 and word:
                assert region == 63 or regions[2 * region + 1], "the region is in use"
                found[index * 8192 + word_index] = (word >> 38,
                                                    regions[2 * region] << 32 | word & 0xffffffff)
    return found


def changes(events):
    """(tick, acquisition?, address, bytes) of the heap, a realloc as two; time never goes back."""
    latest = 0
    for tick, *rest in unclamped_changes(events):
        latest = max(latest, tick)
        yield latest, *rest


def unclamped_changes(events):
    for event in events:
        name = event["class"]
        if name == "RELEASE":
            yield event["tick"], 0, event["address"], 0
        elif name == "ACQUIRE":
            yield event["tick"], 1, event["address"], event["size"]
        elif name == "REALLOC":
            if event["old"]:
                yield event["released"], 0, event["old"], 0
            yield event["tick"], 1, event["address"], event["size"]


def sums(path):
    data = pathlib.Path(path).read_bytes()
    assert data[:8] == b"MEMPROF\n"
    rings = list(read_events(data))
    tree = nodes(data)
    total = dict.fromkeys(["allocations", "frees", "reallocs", "failed", "bytes_allocated",
                           "peak_bytes", "foreign_frees"], 0)
    for event in (event for ring in rings for event in ring):
        if event["class"] in ("ACQUIRE", "REALLOC"):
            depth, node = 0, event["stack"]
            while node > 1:  # 1: cut there
                node, _pc = tree[node]
                depth += 1
            assert depth >= 2, "a stack reaches main or a thread's start"
        total["reallocs"] += event["class"] == "REALLOC"
        total["failed"] += event["class"] == "FAILED"
    live, held = {}, 0
    # Merging keeps each ring's order, also among events of one (coarse) tick.
    for _, acquired, address, size in heapq.merge(*map(changes, rings), key=lambda c: c[:2]):
        if acquired:
            total["allocations"] += 1
            total["bytes_allocated"] += size
            live[address] = size
            held += size
            total["peak_bytes"] = max(total["peak_bytes"], held)
        elif address in live:
            total["frees"] += 1
            held -= live.pop(address)
        else:
            total["foreign_frees"] += 1
    return {**total, "live_bytes_end": held, "live_blocks_end": len(live)}


PROGRAM = r"""
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
static int killed;
static void *work(void *seed)
{
	unsigned state = (unsigned)(size_t)seed;
	void *blocks[64] = {0};
	for (int i = 0; i < 20000; i++) {
		void **block = &blocks[(state = state * 1103515245 + 12345) >> 16 & 63];
		if (i % 3 == 0)
			*block = realloc(*block, 1 + (state >> 8 & 4095));
		else if (!(free(*block), *block = NULL, i % 5))
			posix_memalign(block, 64, 1 + (state >> 8 & 255));
		else
			*block = malloc(state >> 8 & 1023);
		if (killed && i == 19990)
			raise(SIGKILL);
	}
	return NULL;
}
int main(int argc, char **argv)
{
	pthread_t threads[3];
	int count = argc > 1 ? 1 : 3;
	killed = argc > 1;
	for (size_t i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, work, (void *)(i + 1));
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return malloc((size_t)-1 >> 1) != NULL;
}
"""


def compare_run(memprof, report, trace, command, status):
    """Records and reads with both; returns what was read, exits where they differ."""
    ran = subprocess.run([memprof, "run", "-q", "--compress=none", "-o", trace, *command],
                         check=False).returncode
    assert ran == status, f"status {ran}"
    ours = sums(trace)
    said = subprocess.run([report, "--format=json", trace], check=True, capture_output=True,
                          text=True).stdout
    theirs = json.loads(said)["totals"]
    wrong = [f"{name}: {ours[name]} by this reader, {theirs[name]} by memprof-report"
             for name in ours if ours[name] != theirs[name]]
    print("\n".join(wrong or [f"{name} {value}" for name, value in ours.items()]))
    if wrong:
        sys.exit(1)
    return ours


def staged(trace):
    """Whether something stands in a stage."""
    data = pathlib.Path(trace).read_bytes()
    rings = [at for at, kind, _, _ in segments(data) if kind == RING]
    return any(struct.unpack_from("=Q", data, at + 128)[0] <
               struct.unpack_from("=Q", data, at + 72)[0] for at in rings)


def compare(memprof, report, compiler):
    """A program that ends, and one that is killed when its thread has much in its stage: one
    thread, for segments that others were writing are told by their hash alone."""
    with tempfile.TemporaryDirectory(prefix="memprof-format.") as place:
        program, trace = f"{place}/program", f"{place}/t.bin"
        subprocess.run([compiler, "-xc", "-w", "-O1", "-o", program, "-", "-fno-builtin",
                        "-lpthread"], input=PROGRAM, text=True, check=True)
        ended = compare_run(memprof, report, trace, [program], 0)
        killed = compare_run(memprof, report, f"{trace}2", [program, "killed"], -9)
        print("killed: something was staged" if staged(f"{trace}2") else "killed: nothing staged")
    sys.exit(ended["allocations"] < 50000 or killed["allocations"] < 19990)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        compare(*sys.argv[1:])
    for field, value in sums(sys.argv[1]).items():
        print(field, value)
