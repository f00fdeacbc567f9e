"""Times every answer and command of benches/million.sh, and reads buffers and plans from PostgreSQL's log (auto_explain)."""

import http.client
import os
import re
import statistics
import subprocess
import sys
import time

url, app, pg, plans = sys.argv[1:]
host, port = re.match(r"http://([^:/]+):(\d+)", url).groups()


def sql(text):
    command = ["psql", "-X", "-At", "-h", pg, "-U", "app", "postgres", "-c", text]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


last = int(sql("select max(id) from documents"))
done = int(sql("select max(id) from documents where status = 'done'"))
middle = sql("select to_char(created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from documents where id = (select max(id) / 2 from documents)")
word = sql(f"select split_part(title, ' ', 2) from documents where id = {done // 2} - ({done // 2} % 7)")
answers = [
    "/documents", "/documents?sort=oldest", "/documents?limit=200", f"/documents?cursor={last // 2}",
    "/documents?status=pending", "/documents?status=done", "/documents?status=done&sort=oldest", "/documents?status=failed&limit=200",
    f"/documents?created_after={middle}", f"/documents?created_before={middle}", f"/documents?created_before={middle}&status=failed",
    "/documents?title=Invoice", f"/documents?title={word}", "/documents?title=nothing+like+it", "/documents?title=zq", "/documents?title=x&status=pending",
    f"/documents/{done}", f"/documents/{last}", f"/documents/{done}/pages", f"/documents/{done}/pages/2", f"/documents/{done}/pages/2/detections",
    f"/documents/{done}/pages/2/crops/1", f"/documents/{done}/deliveries", f"/documents/{done}/export?format=csv", "/models", "/queue",
]
commands = [
    ["jobs", "list"], ["jobs", "list", "--state", "dead"], ["jobs", "list", "--state", "done"], ["jobs", "list", "--state", "all"],
    ["jobs", "show", str(done)], ["jobs", "show", str(last)], ["jobs", "workers"],
]
log = os.path.join(pg, "log")
settings = ("log_min_duration = 0", "log_analyze = on", "log_buffers = on", "log_nested_statements = on", "log_timing = off")
sql("create extension if not exists pg_stat_statements")


def cost(what):
    """Statements that `what` brings about, their milliseconds with planning, and their buffers."""
    sql("select pg_stat_statements_reset()")
    what()
    figures = sql("""select coalesce(sum(calls), 0), coalesce(sum(total_plan_time + total_exec_time), 0), coalesce(sum(shared_blks_hit + shared_blks_read), 0)
        from pg_stat_statements where query not like '%pg_stat_statements%'""")
    calls, milliseconds, buffers = figures.split("|")
    return f"{calls:>6} {float(milliseconds):8.2f} {buffers:>8}"


def plans_of(what):
    """The plans, and what is read from one end to the other."""
    for setting in settings:
        sql(f"alter system set auto_explain.{setting}")
    sql("select pg_reload_conf()")
    time.sleep(0.3)
    start = os.path.getsize(log)
    what()
    time.sleep(0.2)
    with open(log, encoding="utf-8", errors="replace") as file:
        file.seek(start)
        text = file.read()
    for setting in settings:
        sql(f"alter system reset auto_explain.{setting.split()[0]}")
    sql("select pg_reload_conf()")
    large = "documents|jobs|pages|detections|document_events|job_attempts|api_tokens|uploads"
    return text, " ".join(sorted(set(re.findall(rf"Seq Scan on (?:\w+\.)?({large})\b", text))))


def ask(path):
    connection = http.client.HTTPConnection(host, int(port))
    connection.request("GET", "/api/v1" + path)
    response = connection.getresponse()
    body = response.read()
    assert response.status < 400, (path, response.status, body[:200])
    return connection


def timed(path, times=30):
    connection, took = ask(path), []
    for _ in range(5):
        connection.request("GET", "/api/v1" + path)
        connection.getresponse().read()
    for _ in range(times):
        start = time.perf_counter()
        connection.request("GET", "/api/v1" + path)
        connection.getresponse().read()
        took.append((time.perf_counter() - start) * 1000)
    return statistics.median(took), max(took)


def run(command):
    subprocess.run([app, *command], check=True, capture_output=True)


def show(what, times, action):
    statements = cost(action)
    text, scans = plans_of(action)
    file.write(f"=== {what}\n{text}\n")
    print(f"{what:66.66} {statistics.median(times):8.1f} {max(times):7.1f} {statements} {scans}", flush=True)


print(f"{'':66}   median   worst  statements: ms  buffers  reads all of")
with open(plans, "w", encoding="utf-8") as file:
    for path in answers:
        show(f"GET /api/v1{path}", timed(path), lambda: ask(path))
    connection = http.client.HTTPConnection(host, int(port))
    start = time.perf_counter()
    connection.request("GET", f"/api/v1/documents/{done}/events")
    events = connection.getresponse().read().count(b"event: ")
    print(f"{f'GET /api/v1/documents/{done}/events, {events} of them':66} {(time.perf_counter() - start) * 1000:8.1f}")
    for command in commands:
        run(command)
        took = []
        for _ in range(5):
            start = time.perf_counter()
            run(command)
            took.append((time.perf_counter() - start) * 1000)
        show(f"app {' '.join(command)}", took, lambda: run(command))
print(f"milliseconds; a command's include its start and its connections, so look at those of its statements\nplans: {plans}")
