/**
 * npm run clients: makes clients of /openapi.json in Go, Python and TypeScript, compiles them and uses them
 * against `npm run dev`. Needs Java 11, Maven (which fetches openapi-generator from Maven Central), Go and
 * Python 3.9 with venv.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type DevServer, withDevServer } from "./dev-server.ts";

/** From Maven Central; pinned, so that the same clients are made everywhere. */
const GENERATOR = "7.22.0";
const COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy";

const root = path.dirname(import.meta.dirname);
const folder = path.join(root, ".wrangler/clients");
const jar = path.join(folder, `openapi-generator-cli-${GENERATOR}.jar`);
const document = path.join(folder, "openapi.json");
const programs = path.join(import.meta.dirname, "clients");

/** A command that failed; its own output has been printed. */
class Failed extends Error {}

/** What a program gets: the Worker's address, and the token of an owner of its own. */
type Given = { URL: string; TOKEN: string };

const CLIENTS: Record<string, (env: Given) => void> = {
  Go: useGo,
  Python: usePython,
  TypeScript: useTypeScript,
};

fetchGenerator();
process.exitCode = await withDevServer({ AUTH: "jwt" }, async (server) => {
  writeFileSync(document, await (await fetch(`${server.url}/openapi.json`)).text());
  const results = Object.entries(CLIENTS).map(([language, use]) => works(language, server, use));
  return results.every(Boolean) ? 0 : 1;
});

function works(language: string, server: DevServer, use: (env: Given) => void): boolean {
  try {
    use({ URL: server.url, TOKEN: server.tokenOf(language) });
    console.log(`${language}: made, compiled and used`);
    return true;
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    console.error(`${language}: failed: ${error.message}`);
    return false;
  }
}

function fetchGenerator(): void {
  mkdirSync(folder, { recursive: true });
  if (existsSync(jar)) return;
  console.log(`Fetching openapi-generator ${GENERATOR} …`);
  const artifact = `org.openapitools:openapi-generator-cli:${GENERATOR}`;
  run("mvn", ["-q", "-B", COPY, `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`]);
}

/** Makes a client in an empty folder. @returns the folder around it */
function generate(generator: string, into: string, options: string[]): string {
  const around = path.join(folder, generator);
  rmSync(around, { recursive: true, force: true });
  mkdirSync(around, { recursive: true });
  const only =
    "apis,models,supportingFiles,apiTests=false,modelTests=false,apiDocs=false,modelDocs=false";
  run("java", [
    ...["-Dlog.level=error", "-jar", jar, "generate", "-i", document, "-g", generator],
    ...["-o", path.join(around, into), "--global-property", only, ...options],
  ]);
  return around;
}

function useGo(env: Given): void {
  const names = ["--git-host", "example.com", "--git-user-id", "todo", "--git-repo-id", "client"];
  const around = generate("go", "client", [...names, "--additional-properties=packageName=client"]);
  cpSync(path.join(programs, "main.go"), path.join(around, "main.go"));
  const module = "example.com/todo/client";
  const required = `require ${module} v0.0.0\n\nreplace ${module} => ./client\n`;
  writeFileSync(path.join(around, "go.mod"), `module example.com/use\n\ngo 1.23\n\n${required}`);
  run("go", ["build", "-mod=mod", "-o", "use", "."], { cwd: around });
  run(path.join(around, "use"), [], { env });
}

function usePython(env: Given): void {
  const around = generate("python", "client", ["--additional-properties=packageName=todo_client"]);
  const python = path.join(around, "venv/bin/python");
  run("python3", ["-m", "venv", path.join(around, "venv")]);
  run(python, ["-m", "pip", "install", "--quiet", path.join(around, "client")]);
  run(python, ["-m", "compileall", "-q", path.join(around, "client/todo_client")]);
  run(python, [path.join(programs, "use.py")], { env });
}

function useTypeScript(env: Given): void {
  const around = generate("typescript-fetch", "client", [
    "--additional-properties=importFileExtension=.js",
  ]);
  cpSync(path.join(programs, "use.ts"), path.join(around, "use.ts"));
  writeFileSync(path.join(around, "package.json"), '{ "type": "module" }');
  const compilerOptions = {
    ...{ target: "ES2022", module: "NodeNext", strict: true, outDir: "out", types: ["node"] },
    ...{ typeRoots: [path.join(root, "node_modules/@types")], skipLibCheck: true, rootDir: "." },
  };
  writeFileSync(
    path.join(around, "tsconfig.json"),
    JSON.stringify({ compilerOptions, files: ["use.ts"] }),
  );
  run(path.join(root, "node_modules/.bin/tsc"), ["-p", around]);
  run(process.execPath, [path.join(around, "out/use.js")], { env });
}

type Where = { cwd?: string; env?: Record<string, string> };

/** @throws Failed if the command cannot be run or fails */
function run(command: string, args: string[], { cwd = root, env = {} }: Where = {}): void {
  const { status, error } = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status === 0) return;
  throw new Failed(`${path.basename(command)}: ${error?.message ?? `exit ${status}`}`);
}
