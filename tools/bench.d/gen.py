"""gen.py [--small]: writes the inputs of the workloads, work.sql and data.json, into the working
directory; always the same bytes."""
import json
import random
import sys

small = "--small" in sys.argv[1:]
rows, queries, records = (12000, 4, 12000) if small else (60000, 8, 60000)
letters = "abcdefghij"
random.seed(1)

with open("work.sql", "w") as out:
    out.write("PRAGMA journal_mode=OFF;\nPRAGMA temp_store=MEMORY;\n"
              "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c REAL);\n"
              "CREATE INDEX i ON t(b);\nBEGIN;\n")
    for _ in range(rows):
        text = "".join(random.choices(letters, k=random.randint(4, 40)))
        out.write(f"INSERT INTO t(b,c) VALUES('{text}',{random.random():f});\n")
    out.write("COMMIT;\n")
    for _ in range(queries):
        out.write("SELECT count(*), sum(c), length(group_concat(substr(b,1,2))) FROM t "
                  f"WHERE b LIKE '%{random.choice(letters)}%' "
                  "GROUP BY substr(b,1,3) ORDER BY 2 LIMIT 1;\n")

with open("data.json", "w") as out:
    json.dump([{"id": i, "name": f"n{i}", "v": [random.random() for _ in range(8)],
                "tags": [f"t{i % 17}", f"u{i % 31}"]} for i in range(records)], out)
