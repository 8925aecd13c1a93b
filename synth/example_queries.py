"""The tables and queries of `examples.py`.

`example` is narrow, so that it is scanned and sorted fast; what a row says lies apart in `content`.
"""

TABLES = """
CREATE TABLE example (
    place INTEGER PRIMARY KEY, side TEXT, number INTEGER, id TEXT, gold TEXT,
    name TEXT,      -- digest of all that the row says
    opening TEXT,   -- digest of how a conversation begins
    grp TEXT,       -- name of its group: near duplicates, and the rows of one conversation
    rank INTEGER,   -- of the group
    own TEXT,       -- stratum of the row: a gold label and a slice, each where there is one
    stratum TEXT,   -- of the group
    compared INTEGER NOT NULL DEFAULT 0,  -- whether it was compared with others, and can be drawn
    split TEXT,     -- NULL: not drawn
    left_out INTEGER,  -- turns of its conversation that are not used
    reason TEXT, detail TEXT);
CREATE TABLE content (place INTEGER PRIMARY KEY, said BLOB);
"""
INSERT = (
    "INSERT INTO example (place, side, number, id, gold, name, opening, grp, rank, own, stratum, left_out, reason, "
    "detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_CONTENT = "INSERT INTO content VALUES (?, ?)"
ID_TWICE = """
    SELECT id, MIN(number), MAX(number), COUNT(*) OVER () FROM example WHERE side = ? GROUP BY id HAVING COUNT(*) > 1
    ORDER BY MIN(number) LIMIT 1"""
# A test set is read in first: its copy of a text has the smaller place, and the one to train on is the duplicate.
MARK_DUPLICATES = """
    UPDATE example SET reason = 'duplicate', detail = (
        SELECT 'the same text as row ' || first.number ||
        CASE WHEN first.id <> example.id THEN ' (' || first.id || ')' ELSE '' END ||
        CASE first.side WHEN 'test' THEN ' of the test rows' ELSE '' END ||
        CASE WHEN first.gold <> example.gold THEN ', which is labelled ' || first.gold || ' there' ELSE '' END
        FROM example first WHERE first.name = example.name
        AND (first.reason IS NULL OR first.reason = 'duplicate') ORDER BY first.place LIMIT 1)
    WHERE reason IS NULL AND EXISTS (
        SELECT 1 FROM example first WHERE first.name = example.name AND first.place < example.place
        AND (first.reason IS NULL OR first.reason = 'duplicate'))"""
# Texts that a person labelled in more than one way; the first row of each is the one that counts.
CONFLICTS = """
    SELECT COUNT(*) FROM (
        SELECT 1 FROM example WHERE (reason IS NULL OR reason = 'duplicate') AND gold IS NOT NULL
        AND name IN (SELECT name FROM example WHERE reason = 'duplicate')
        GROUP BY name HAVING COUNT(DISTINCT gold) > 1)"""
UNFIT = """
    SELECT reason, COUNT(*) AS many, MIN(number), detail FROM example WHERE side = ? AND reason IS NOT NULL
    GROUP BY reason ORDER BY many DESC, reason LIMIT 3"""
USABLE = "SELECT COUNT(*) FROM example WHERE side = ? AND reason IS NULL"
RANK_AT = "SELECT rank FROM example WHERE side = ? AND reason IS NULL ORDER BY rank LIMIT 1 OFFSET ?"
COMPARE = "UPDATE example SET compared = 1 WHERE side = ? AND reason IS NULL AND rank < ?"
COMPARED = "SELECT name, said FROM example JOIN content USING (place) WHERE compared AND reason IS NULL"
BEGUN_ALIKE = """
    SELECT first, name FROM example JOIN (
        SELECT opening, MIN(name) AS first FROM example
        WHERE compared AND reason IS NULL AND opening IS NOT NULL GROUP BY opening HAVING COUNT(*) > 1
    ) USING (opening) WHERE compared AND reason IS NULL AND name <> first"""
JOIN_GROUP = """
    UPDATE example SET grp = ?, rank = ?,
        stratum = COALESCE((SELECT own FROM example first WHERE first.name = ? AND reason IS NULL), '')
    WHERE name = ?"""
MARK_NEAR_TEST = """
    UPDATE example SET reason = 'near_duplicate_of_test', detail = (
        SELECT 'near row ' || MIN(near.number) || ' of the test rows' FROM example near
        WHERE near.side = 'test' AND near.reason IS NULL AND near.grp = example.grp)
    WHERE side = 'pool' AND reason IS NULL AND compared
    AND grp IN (SELECT grp FROM example WHERE side = 'test' AND reason IS NULL AND compared)"""
STRATA = "SELECT stratum, COUNT(*) FROM example WHERE side = ? AND reason IS NULL GROUP BY stratum"
GROUPS = """
    SELECT grp, MIN(stratum), COUNT(*) FROM example WHERE side = ? AND reason IS NULL AND compared
    GROUP BY grp ORDER BY MIN(rank), grp"""
GROUPS_LEFT = """
    SELECT grp, MIN(stratum), COUNT(*) FROM example WHERE side = ? AND reason IS NULL AND compared
    AND grp NOT IN (SELECT grp FROM dealt) GROUP BY grp ORDER BY MIN(rank), grp"""
DRAWN_OF = "SELECT COUNT(*) FROM example WHERE side = ? AND split IS NOT NULL"
TAKE_ALL = "UPDATE example SET split = 'train' WHERE side = ? AND reason IS NULL"
TAKE_DEALT = """
    UPDATE example SET split = (SELECT split FROM dealt WHERE dealt.grp = example.grp)
    WHERE side = ? AND reason IS NULL AND compared"""
DRAWN = """
    SELECT id, said, gold, split, grp FROM example JOIN content USING (place) WHERE split IS NOT NULL ORDER BY place"""
REJECTED = """
    SELECT id, said, gold, reason, detail FROM example JOIN content USING (place) WHERE reason IS NOT NULL
    ORDER BY place"""
SPLIT_SIZES = "SELECT split, COUNT(*) FROM example GROUP BY split"
LEFT_OUT = "SELECT COUNT(*), COALESCE(SUM(left_out), 0) FROM example WHERE split IS NOT NULL AND left_out > 0"
FATES = """
    SELECT COALESCE(reason, CASE WHEN split IS NULL THEN 'not drawn' ELSE 'drawn' END) AS fate, COUNT(*)
    FROM example GROUP BY fate"""
