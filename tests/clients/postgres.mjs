// A Postgres of the test's own, set up as Debian does it: a superuser over the socket, passwords over TCP.

import { execFile, execFileSync } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir, userInfo } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const BIN = process.env.POSTGRES_BIN ?? "/usr/lib/postgresql/15/bin"; // Debian's; setup.sh brings it
const ROOT = userInfo().uid === 0;
/** The server refuses to run as root. */
const AS_OWNER = ROOT ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"] : ["env"];
const SETTINGS = "listen_addresses = '127.0.0.1'\nfsync = off\n";

/** A port that nobody has now. */
export const freePort = () =>
  new Promise((resolve) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

export class Postgres {
  port; #folder;

  /** Starts one, and ends it after the test. @param {import("node:test").TestContext} t */
  static async start(t, { port, settings = "" } = {}) {
    const postgres = new Postgres();
    postgres.#folder = await mkdtemp(path.join(tmpdir(), "tidegate-postgres-"));
    postgres.port = port ?? (await freePort());
    await chmod(postgres.#folder, 0o755);
    if (ROOT) execFileSync("chown", ["postgres", postgres.#folder]);
    t.after(async () => {
      await postgres.control("stop", "-m", "immediate").catch(() => {});
      await rm(postgres.#folder, { recursive: true, force: true });
    });
    await postgres.#run("initdb", "-D", postgres.data, "-U", "postgres", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync");
    await writeFile(path.join(postgres.data, "postgresql.auto.conf"), `${SETTINGS}${settings}port = ${postgres.port}\nunix_socket_directories = '${postgres.#folder}'\n`);
    await postgres.control("start");
    return postgres;
  }

  get data() {
    return path.join(this.#folder, "data");
  }

  /** What `psql` and its kin need to be the superuser. */
  get environment() {
    return { PGHOST: this.#folder, PGPORT: String(this.port), PGUSER: "postgres" };
  }

  /** The command that does `what` (start, stop, restart) to the server, and waits for it. */
  command(what) {
    return [...AS_OWNER, path.join(BIN, "pg_ctl"), "-D", this.data, "-l", path.join(this.#folder, "log"), "-w", what];
  }

  async control(what, ...more) {
    const [program, ...args] = [...this.command(what), ...more];
    await promisify(execFile)(program, args, { cwd: "/" });
  }

  /** The rows of a query, a line each, columns separated by `|`. */
  async rows(database, query) {
    const { stdout } = await promisify(execFile)("psql", ["-XAtq", "-d", database, "-c", query], { env: { ...process.env, ...this.environment } });
    return stdout.split("\n").filter(Boolean);
  }

  #run(program, ...args) {
    return promisify(execFile)(AS_OWNER[0], [...AS_OWNER.slice(1), path.join(BIN, program), ...args], { cwd: "/" });
  }
}
