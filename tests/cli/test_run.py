"""`docpoll run` and `docpoll submit`: documents out, results home."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pypdf
import pytest

from tests.cli.support import DeafServer, pdf, until

ROOT = Path(__file__).resolve().parent.parent.parent
RECIPES = ROOT / "recipes" / "invoices"


@pytest.fixture
def deaf():
    server = DeafServer()
    yield server
    server.stop()


# -- the main job -------------------------------------------------------------------------------------------------


def test_invoices_go_in_and_their_fields_come_out(cli, folder):
    """Without a key and on this machine, a run ends with a table of what stands on the invoices."""
    said = cli("run", RECIPES, "--provider", "local")
    assert said.code == 0
    rows = said.out.splitlines()
    assert rows[0].split() == ["file", "supplier_name", "invoice_number", "issue_date", "currency", "total_amount"]
    (row,) = [row for row in rows if row.startswith("tidewater-2025-0117.pdf")]
    assert row.split()[1:] == ["Tidewater", "Joinery", "Ltd", "TJ-2025-0117", "2025-01-17", "GBP", "1490.22"]
    assert rows[-1] == f"{len(rows) - 2} of {len(rows) - 2} documents stored; ledger docpoll.db"
    assert "Traceback" not in said.err


def test_a_second_run_sends_nothing_new_and_says_so(cli, documents):
    """What is known is shown again from the ledger."""
    cli("run", documents(3), "--provider", "local")
    said = cli("run", "invoices", "--provider", "local")
    assert said.code == 0
    assert said.out.splitlines()[-1] == (
        "3 of 3 documents stored, 3 of them without any value, "
        "all were known already, nothing new was sent; ledger docpoll.db"
    )


def test_json_lines_are_all_that_is_on_stdout(cli, documents):
    """With `--json` there is one object for each input, and its result in it."""
    cli("run", documents(1), "--provider", "local")
    lines = cli("run", documents(3), RECIPES / "wiesental-7731.pdf", "--provider", "local", "--json").lines
    assert sorted(Path(line["source"]).name for line in lines) == [
        "0000.pdf",
        "0001.pdf",
        "0002.pdf",
        "wiesental-7731.pdf",
    ]
    (invoice,) = [line for line in lines if line["source"].endswith("wiesental-7731.pdf")]
    assert invoice["state"] == "SUCCEEDED"
    assert invoice["error"] is None
    assert invoice["result"]["fields"]["invoice_number"]["value"] == "7731"


def test_an_input_given_twice_is_one_job_and_two_lines(cli, folder, emulate, typless):
    """The same bytes are sent once, under whichever name they come."""
    emulator = emulate()
    for name in ("a.pdf", "b.pdf"):
        (folder / name).write_bytes(pdf(1))
    said = cli("run", "a.pdf", "b.pdf", "a.pdf", "--json", *typless(emulator))
    assert said.code == 0
    assert sorted(line["source"] for line in said.lines) == ["a.pdf", "a.pdf", "b.pdf"]
    assert len({line["id"] for line in said.lines}) == 1
    assert list(emulator.seen["by_digest"].values()) == [1]


def test_a_long_table_is_cut_and_says_where_the_rest_is(cli, documents):
    """Fifty rows are shown."""
    said = cli("run", documents(53), "--provider", "local")
    rows = said.out.splitlines()
    assert len([row for row in rows if row.startswith("00")]) == 50
    assert rows[-2].startswith("… and 3 more; docpoll export")


def test_names_that_are_not_utf_8_work(cli, folder, start):
    """A file whose name is another encoding's is sent, and named in JSON so that the name comes back."""
    name = b"caf\xe9.pdf"
    (folder / os.fsdecode(name)).write_bytes(pdf(1))
    said = start("run", name, "--provider", "local", "--json").end()
    assert said.code == 0
    assert said.out.isascii()
    assert said.lines[0]["source"] == os.fsdecode(name)
    assert os.fsencode(cli("show", os.fsdecode(name), "--json").lines[0]["source"]) == name
    assert r"caf\xe9" in cli("jobs").out or r"caf\udce9" in cli("jobs").out


def test_no_name_writes_to_the_terminal_by_itself(cli, folder):
    """Control characters in a file name are shown, not sent."""
    (folder / "a\x1b[31mred.pdf").write_bytes(b"nothing")
    said = cli("run", "a\x1b[31mred.pdf", "--provider", "local")
    assert "\x1b" not in said.out + said.err
    assert r"a\x1b[31mred.pdf" in said.err


# -- what fails ---------------------------------------------------------------------------------------------------


def test_each_input_that_failed_is_named_with_its_reason(cli, folder, emulate, typless):
    """Exit code 1: unreadable, empty, no document, refused by the vendor; the others are stored."""
    emulator = emulate()
    (folder / "good.pdf").write_bytes(pdf(1))
    (folder / "empty.pdf").write_bytes(b"")
    (folder / "text.txt").write_text("no document")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    names = ["good.pdf", "empty.pdf", "text.txt", "broken.pdf", "missing.pdf"]
    said = cli("run", *names, "--json", *typless(emulator))
    assert said.code == 1
    lines = {line["source"]: line for line in said.lines}
    assert {name: lines[name]["state"] for name in names} == dict.fromkeys(names, "FAILED") | {"good.pdf": "SUCCEEDED"}
    assert lines["missing.pdf"]["id"] is None
    assert lines["missing.pdf"]["error"]["code"] == "no_such_file"
    assert lines["empty.pdf"]["error"]["code"] == "empty_document"
    for name in names[1:]:
        assert len([row for row in said.err.splitlines() if row.startswith(f"failed: {name}: ")]) == 1
    assert "failed: missing.pdf: no such file [no_such_file]\n" in said.err
    # Only what is a document went out.
    assert emulator.seen["requests"]["submit"] == 2


def test_a_result_that_expired_ends_with_3(cli, documents, emulate, typless):
    """Exit code 3, and a further attempt only when asked for, which says what it costs."""
    emulator = emulate()
    documents(2)
    assert cli("submit", "invoices", *typless(emulator, polls=False)).code == 0
    until(lambda: [job["status"] for job in emulator.seen["jobs"]] == ["SUCCESS"] * 2)
    emulator.advance(hours=49)
    said = cli("run", "invoices", *typless(emulator))
    assert said.code == 3
    assert said.err.count("expired: ") == 2
    assert cli("run", "invoices", *typless(emulator)).code == 3
    again = cli("run", "invoices", "--retry", "expired", *typless(emulator))
    assert again.code == 0
    assert "trying 2 documents once more; each is paid for again" in again.err
    assert set(emulator.seen["by_digest"].values()) == {2}


def test_a_submit_whose_answer_was_lost_ends_with_4(cli, documents, deaf, monkeypatch):
    """Exit code 4; it is shown, not sent again, and `cancel` drops it."""
    monkeypatch.setenv("TYPLESS_API_KEY", "k")
    documents(1)
    flags = ["--base-url", deaf.url, "--document-type", "invoice", "--uncertain", "hold"]
    said = cli("run", "invoices", "--json", *flags)
    assert said.code == 4
    (line,) = said.lines
    assert line["state"] == "UNCERTAIN"
    assert line["error"]["code"] == "uncertain"
    assert "uncertain: " in said.err
    assert cli("status", "--json").code == 4
    assert f"docpoll resolve {line['id']} --drop" in cli("show", line["id"]).out
    assert cli("harvest", "--base-url", deaf.url, "--uncertain", "hold").code == 4
    assert cli("cancel", line["id"]).code == 0
    assert cli("status").code == 0


@pytest.mark.parametrize("command", ["run", "submit"])
def test_a_submit_without_an_answer_when_the_waiting_ends_is_uncertain(cli, documents, monkeypatch, command):
    """Exit code 4, not 5: it may have arrived, and it is not sent again by itself. The ledger says the same."""
    deaf = DeafServer(holds=True)
    monkeypatch.setenv("TYPLESS_API_KEY", "k")
    flags = ["--base-url", deaf.url, "--document-type", "invoice", "--account", "ours", "--store", "our ledger.db"]
    said = cli(command, documents(3), "--wait", "0.3s", "--json", *flags)
    deaf.stop()
    assert said.code == 4
    # The first submit finds out whether key and address are right; the others wait for its answer.
    assert sorted(line["state"] for line in said.lines) == ["PENDING", "PENDING", "UNCERTAIN"]
    assert "see docpoll jobs --state UNCERTAIN --account ours --store 'our ledger.db';" in said.err
    assert f"docpoll recover --base-url {deaf.url} --account ours --store 'our ledger.db' looks for them" in said.err
    assert cli("status", "--store", "our ledger.db").code == 4


def test_what_to_do_when_the_waiting_ended_is_a_command_that_works(cli, documents, emulate, typless):
    """It names the address, the account and the ledger, where they are not the usual ones."""
    emulator = emulate(speed=0.01)
    place = ["--account", "ours", "--store", "our.db"]
    said = cli("run", documents(1), "--wait", "0.5s", *typless(emulator), *place)
    command = f"docpoll harvest --base-url {emulator.url} --account ours --store our.db"
    assert f"the waiting ended, the jobs go on: {command}, or the same command again" in said.err
    emulator.advance(hours=1)
    assert cli(*command.split()[1:], "--poll-every", "0.2s").code == 0


def test_a_further_attempt_is_offered_only_where_one_can_be_made(cli, folder):
    """Not for a file that is not there, is no document, or cannot be read; with `local` nobody is paid."""
    (folder / "no.txt").write_text("no document")
    said = cli("run", "no.txt", "missing.pdf", "--provider", "local")
    assert said.code == 1
    assert "--retry" not in said.err
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    broken = cli("run", "broken.pdf", "--provider", "local")
    assert "; get it anew, then run again [broken_pdf] (job " in broken.err
    assert "--retry" not in broken.err
    (folder / "slow.pdf").write_bytes(pdf(1))
    cli("submit", "slow.pdf", "--provider", "local")
    with closing(sqlite3.connect("docpoll.db", isolation_level=None)) as ledger:
        ledger.execute(
            "UPDATE jobs SET state = 'EXPIRED', owner = NULL, finished_at = changed_at WHERE source = 'slow.pdf'"
        )
    tried = cli("run", "slow.pdf", "broken.pdf", "--provider", "local").err
    assert "to try once more: the same command with --retry expired\n" in tried
    assert "pay" not in tried


def test_an_encrypted_document_has_its_code_and_what_to_do(cli, folder):
    """As a broken one has."""
    writer = pypdf.PdfWriter(clone_from=RECIPES / "tidewater-2025-0117.pdf")
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(folder / "locked.pdf")
    said = cli("run", "locked.pdf", "--provider", "local")
    assert "only with a password; remove the password, then run again [encrypted] (job " in said.err
    assert "--retry" not in said.err
    assert cli("jobs", "--json").lines[0]["error"]["retryable"] is False


def test_a_missing_extra_is_told_before_there_is_a_ledger(cli, documents, folder, monkeypatch):
    """What was installed without it leaves nothing behind."""
    monkeypatch.setitem(sys.modules, "invoice2data", None)  # which is how Python notes what cannot be imported
    said = cli("run", documents(1), "--provider", "local")
    assert said.code == 2
    assert "pip install 'docpoll[local]'" in said.err
    assert not list(folder.glob("docpoll.*"))


def test_the_waiting_ends_and_the_jobs_go_on(cli, documents, emulate, typless):
    """Exit code 5: each input has a line, with its state as it is; now and then stderr told how far it was."""
    emulator = emulate(speed=0.01)
    said = cli("run", documents(2), "--wait", "6s", "--json", *typless(emulator))
    assert said.code == 5
    assert [line["state"] for line in said.lines] == ["RUNNING", "RUNNING"]
    assert [line["result"] for line in said.lines] == [None, None]
    assert "0/2 · 2 running" in said.err.splitlines()
    quiet = cli("run", "invoices", "--wait", "1s", "--quiet", *typless(emulator))
    assert (quiet.code, quiet.out, quiet.err) == (5, "", "")
    assert set(emulator.seen["by_digest"].values()) == {1}


def test_looking_ends_when_the_user_says_so(cli, documents, emulate, typless):
    """`--give-up-after`: exit code 1, and the job says that it may still finish there."""
    emulator = emulate(speed=0.01)
    said = cli("run", documents(1), "--give-up-after", "0.5s", "--json", *typless(emulator))
    assert said.code == 1
    assert said.lines[0]["state"] == "TIMED_OUT"
    assert "timed out: " in said.err
    assert "the vendor may still finish" in cli("show", "0000.pdf").out


def test_fail_fast_ends_at_the_first_input_that_fails(cli, documents, folder, emulate, typless):
    """The rest stays in the ledger, and a later run goes on with it."""
    emulator = emulate(speed=0.01)
    (folder / "no.pdf").write_bytes(b"no document")
    documents(2)
    said = cli("run", "invoices", "no.pdf", "--fail-fast", "--json", *typless(emulator))
    assert said.code == 1
    states = {line["source"]: line["state"] for line in said.lines}
    assert states.pop("no.pdf") == "FAILED"
    assert len(states) == 2
    assert set(states.values()) <= {"PENDING", "RUNNING"}


# -- a wrong key, a wrong address ---------------------------------------------------------------------------------


def test_a_wrong_key_ends_the_run_at_once_and_loses_nothing(cli, documents, emulate, typless, monkeypatch):
    """Exit code 2, one message, no hammering; with the right key the same ledger goes on and pays for nothing twice."""
    emulator = emulate()
    documents(20)
    right = os.environ["TYPLESS_API_KEY"]
    monkeypatch.setenv("TYPLESS_API_KEY", "wrong-key")
    for command in ("run", "submit"):
        said = cli(command, "invoices", *typless(emulator, polls=False))
        assert said.code == 2
        assert said.out == ""
        assert said.err.count("HTTP 401") == 1
        assert said.err.startswith("docpoll: typless: HTTP 401, the API refused the key")
        assert "20 jobs stay open in docpoll.db" in said.err
        assert "wrong-key" not in said.err
    assert emulator.seen["requests"]["unauthorized"] <= 4
    assert cli("status", "--json").lines[0]["suspect"][0]["account"] == "default"
    monkeypatch.setenv("TYPLESS_API_KEY", right)
    assert cli("run", "invoices", *typless(emulator)).code == 0
    seen = emulator.seen
    assert len(seen["by_digest"]) == 20
    assert set(seen["by_digest"].values()) == {1}
    assert cli("status", "--json").lines[0]["suspect"] == []


def test_a_run_that_ends_early_has_a_line_for_every_input(cli, documents, emulate, typless, monkeypatch):
    """With `--json`, also where the key is wrong: each as it stands, then exit code 2."""
    emulator = emulate()
    documents(3)
    monkeypatch.setenv("TYPLESS_API_KEY", "wrong-key")
    said = cli("run", "invoices", "missing.pdf", "--json", *typless(emulator))
    assert said.code == 2
    states = {os.path.basename(line["source"]): (line["state"], line["result"]) for line in said.lines}
    pending = {f"{n:04}.pdf": ("PENDING", None) for n in range(3)}
    assert states == pending | {"missing.pdf": ("FAILED", None)}


def test_a_wrong_address_ends_the_run(cli, documents, emulate, typless):
    """A path that answers 404 is a fault of the address: exit code 2, and no job is closed."""
    emulator = emulate()
    said = cli("run", documents(3), "--url-prefix", "/nowhere", *typless(emulator))
    assert said.code == 2
    assert "--url-prefix" in said.err
    assert cli("status", "--json").lines[0]["counts"]["PENDING"] == 3


def test_an_address_nobody_answers_at_is_told_within_seconds(start, documents):
    """Nothing is sent, nothing lost, and the person knows why it takes so long."""
    documents(2)
    flags = ["--base-url", "http://127.0.0.1:9", "--document-type", "invoice"]
    program = start("run", "invoices", *flags, env={"TYPLESS_API_KEY": "k"})
    told = program.line("stderr")
    why = "Cannot connect to host 127.0.0.1:9 [Connect call failed ('127.0.0.1', 9)]"
    assert told.startswith(f"docpoll: no answer so far ({why}); trying on, nothing is lost.")
    assert told.rstrip().endswith("Ctrl-C stops, and --wait 10m would by itself")
    program.process.terminate()
    said = program.end()
    assert said.code == 130
    assert "To go on: docpoll run invoices" in said.err


# -- wrong use ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "PATH"),
        (["run", "x.pdf", "--what"], "--what"),
        (["run", "x.pdf"], "set TYPLESS_API_KEY, or use --provider local"),
        (["run", "x.pdf", "--provider", "mindee"], "typless, syntage, local"),
        (["run", "x.pdf", "--provider", "syntage"], "no documents; use docpoll syntage extract"),
        (["submit", "x.pdf", "--provider", "syntage", "--dry-run"], "no documents; use docpoll syntage extract"),
        (["run", "x.pdf", "--provider", "typless"], "set TYPLESS_API_KEY"),
        (["run", "x.pdf", "--provider", "local", "--wait", "soon"], "--wait soon: write a length of time such as 90"),
        (["run", "x.pdf", "--provider", "local", "--give-up-after", "0s"], "--give-up-after 0s"),
        (["run", "x.pdf", "--provider", "local", "--poll-every", "9d"], "not a wait"),
        (["run", "x.pdf", "--provider", "local", "--rate", "0"], "rate 0"),
        (["run", "x.pdf", "--provider", "local", "--limit", "-1"], "--limit"),
        (["run", "x.pdf", "--provider", "local", "--retry", "succeeded"], "without a result"),
        (["run", "x.pdf", "--provider", "local", "--out", "x.xlsx"], ".jsonl, .csv or .parquet"),
        (["run", "x.pdf", "--provider", "local", "--out", "no/x.csv"], "does not exist"),
        (["run", "x.pdf", "--provider", "local", "--base-url", "http://127.0.0.1:1"], "local takes no --base-url"),
        (["run", "x.pdf", "--provider", "local", "--api-key", "k"], "local takes no --api-key, as it runs on this"),
        (["run", "empty", "--provider", "local"], "empty: no document found"),
        (["run", "x.pdf", "--provider", "local", "--store", "no/docpoll.db"], "the folder"),
        (["run", "x.pdf", "--provider", "local", "--store", "postgresql://x"], "PostgreSQL is not available"),
        (["jobs", "--state", "DONE"], "SUCCEEDED"),
        (["retry"], "name the jobs"),
        (["retry", "x", "--failed"], "name the jobs"),
        (["cancel"], "name the jobs"),
        (["emulate", "--vendor", "other"], "typless"),
    ],
)
def test_wrong_use_is_told_before_anything_is_done(cli, folder, arguments, said):
    """Exit code 2, one message that says what to write, no traceback, and no ledger."""
    (folder / "empty").mkdir()
    (folder / "x.pdf").write_bytes(pdf(1))
    ended = cli(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not (folder / "docpoll.db").exists()


def test_a_document_type_is_asked_for_before_anything_is_done(cli, documents, folder, monkeypatch):
    """Typless cannot do without."""
    monkeypatch.setenv("TYPLESS_API_KEY", "k")
    said = cli("run", documents(1))
    assert said.code == 2
    assert "--document-type" in said.err
    assert not (folder / "docpoll.db").exists()


def test_a_key_on_the_command_line_warns_and_is_shown_nowhere(cli, documents, emulate, monkeypatch):
    """It exists for tests."""
    emulator = emulate(api_key="typed-secret")
    monkeypatch.delenv("TYPLESS_API_KEY")
    flags = ["--base-url", emulator.url, "--document-type", "invoice", "--api-key", "typed-secret"]
    said = cli("run", documents(1), "--poll-every", "0.2s", *flags)
    assert said.code == 0
    assert "visible to others" in said.err
    assert "typed-secret" not in said.out + said.err


# -- limits, dry runs, files --------------------------------------------------------------------------------------


def test_a_limit_sends_so_many_and_leaves_the_rest(cli, documents, emulate, typless):
    """Exit code 5 while something is left; run by run everything comes in, and nothing twice."""
    emulator = emulate()
    documents(5)
    first = cli("run", "invoices", "--limit", "2", "--json", *typless(emulator))
    assert first.code == 5
    assert sorted(line["state"] for line in first.lines) == ["PENDING"] * 3 + ["SUCCEEDED"] * 2
    assert len(emulator.seen["by_digest"]) == 2
    assert cli("run", "invoices", "--limit", "2", *typless(emulator)).code == 5
    last = cli("run", "invoices", "--limit", "2", *typless(emulator))
    assert last.code == 0
    assert "5 of 5 documents stored, 5 of them without any value, 4 known already" in last.out
    assert set(emulator.seen["by_digest"].values()) == {1}


def test_a_dry_run_starts_nothing(cli, documents, folder):
    """It tells what would be sent, what is known and what is refused, and makes no ledger."""
    documents(2)
    (folder / "no.txt").write_text("no document")
    said = cli("run", "invoices", "no.txt", "--provider", "local", "--dry-run", "--limit", "1", "--json")
    assert said.code == 1
    assert [line["would"] for line in said.lines] == ["send", "wait", "refuse"]
    assert sorted(path.name for path in folder.iterdir()) == ["invoices", "no.txt"]
    cli("run", "invoices/0000.pdf", "--provider", "local")
    again = cli("run", "invoices", "--provider", "local", "--dry-run")
    assert again.code == 0
    assert [row.split()[0] for row in again.out.splitlines()] == ["known", "send"]
    assert cli("status", "--json").lines[0]["counts"]["SUCCEEDED"] == 1


def test_a_dry_run_against_a_vendor_needs_no_key(cli, documents):
    """Nothing is sent, so nothing has to be unlocked."""
    flags = ["--provider", "typless", "--document-type", "invoice", "--dry-run"]
    assert cli("run", documents(1), *flags).code == 0


def test_the_file_of_a_run_holds_its_inputs_in_their_order(cli, documents, folder):
    """Not what else the ledger holds; and it is whole or not there."""
    cli("run", documents(2, "others", first=100), "--provider", "local")
    documents(6)
    said = cli("run", "invoices", "missing.pdf", "--provider", "local", "--out", "fields.jsonl")
    assert said.code == 1
    lines = [json.loads(line) for line in (folder / "fields.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == [f"invoices/{n:04}.pdf" for n in range(6)] + ["missing.pdf"]
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith((".", "fields"))) == ["fields.jsonl"]


def test_a_csv_holds_a_row_of_fields_for_each_document(cli, folder):
    """Amounts are plain decimals, dates ISO."""
    cli("run", RECIPES / "tidewater-2025-0117.pdf", "--provider", "local", "--out", "fields.csv")
    with open(folder / "fields.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["supplier_name"] == "Tidewater Joinery Ltd"
    assert row["issue_date"] == "2025-01-17"
    assert float(row["total_amount"]) == 1490.22
    assert row["state"] == "SUCCEEDED"


def test_out_to_stdout_is_json_lines(cli, documents):
    """`--out -` is what `--json` gives."""
    said = cli("run", documents(2), "--provider", "local", "--out", "-")
    assert [line["state"] for line in said.lines] == ["SUCCEEDED"] * 2


def test_files_in_folders_that_are_no_documents_are_counted(cli, documents, folder):
    """They are skipped; files that are named are always taken."""
    documents(1)
    (folder / "invoices" / "notes.txt").write_text("x")
    (folder / "scan").write_bytes(pdf(9))
    said = cli("run", "invoices", "scan", "--provider", "local")
    assert said.code == 0
    assert "skipped 1 file that is no PDF" in said.err
    assert "2 of 2 documents stored" in said.out


# -- the halves ---------------------------------------------------------------------------------------------------


def test_submit_ends_once_everything_is_accepted(cli, documents, emulate, typless):
    """Exit code 0 with nothing stored yet; a harvest brings the results, and pays for nothing again."""
    emulator = emulate(speed=0.01)
    said = cli("submit", documents(20), "--json", *typless(emulator, polls=False))
    assert said.code == 0
    assert [line["state"] for line in said.lines] == ["RUNNING"] * 20
    assert "result" not in said.lines[0]
    assert all(line["remote_id"] for line in said.lines)
    again = cli("submit", "invoices", *typless(emulator, polls=False))
    assert again.code == 0
    assert "nothing new was sent" in again.err
    emulator.advance(hours=1)
    harvested = cli("harvest", "--json", "--base-url", emulator.url, "--poll-every", "0.2s")
    assert harvested.code == 0
    sources = sorted(os.path.basename(line["source"]) for line in harvested.lines)
    assert sources == [f"{n:04}.pdf" for n in range(20)]
    assert set(emulator.seen["by_digest"].values()) == {1}


def test_submit_tells_what_was_not_accepted(cli, documents, folder, deaf, monkeypatch):
    """1 for what failed, 4 for what is uncertain."""
    monkeypatch.setenv("TYPLESS_API_KEY", "k")
    flags = ["--base-url", deaf.url, "--document-type", "invoice", "--uncertain", "hold"]
    assert cli("submit", "missing.pdf", *flags).code == 1
    assert cli("submit", documents(1), *flags).code == 4
    assert cli("submit", "missing.pdf", "invoices", *flags).code == 4


def test_harvest_works_on_every_account_it_has_a_key_for(cli, documents, emulate, typless, monkeypatch):
    """It names what it leaves alone: other accounts, other addresses, and a vendor whose key is not set."""
    emulator = emulate(speed=0.01)
    documents(1)
    cli("submit", "invoices", *typless(emulator, polls=False))
    cli("submit", "invoices", "--account", "second", *typless(emulator, polls=False))
    cli("submit", "invoices", "--provider", "local")
    emulator.advance(hours=1)
    said = cli("harvest", "--json", "--base-url", emulator.url, "--poll-every", "0.2s")
    assert said.code == 5
    assert sorted((line["provider"], line["account"]) for line in said.lines) == [
        ("local", "default"),
        ("typless", "default"),
    ]
    assert "left alone: 1 open job of typless account second" in said.err
    assert f"made for {emulator.url}" in cli("harvest").err
    assert cli("status", "--json").lines[0]["elsewhere"] == 1
    monkeypatch.delenv("TYPLESS_API_KEY")
    assert "set TYPLESS_API_KEY" in cli("harvest", "--base-url", emulator.url).err
    assert cli("harvest", "--provider", "typless").code == 2
    monkeypatch.setenv("TYPLESS_API_KEY", "a-right-key")
    assert cli("harvest", "--base-url", emulator.url, "--account", "second").code == 0


def test_a_harvest_with_a_wrong_key_ends_with_2(cli, documents, emulate, typless, monkeypatch):
    """One message, and nothing is closed."""
    emulator = emulate(speed=0.01)
    cli("submit", documents(2), *typless(emulator, polls=False))
    monkeypatch.setenv("TYPLESS_API_KEY", "wrong-key")
    said = cli("harvest", "--base-url", emulator.url)
    assert said.code == 2
    assert said.err.count("HTTP 401") == 1
    assert cli("status", "--json").lines[0]["open"] == 2


def test_a_harvest_without_open_jobs_ends_at_once(cli, documents):
    """Exit code 0."""
    cli("run", documents(1), "--provider", "local")
    said = cli("harvest")
    assert said.code == 0
    assert "nothing was left to bring home" in said.err
