/**
 * npm run clients: makes clients of /openapi.json in Go, Python and TypeScript, compiles them and uses them
 * against a Worker of its own. Needs Java 11, Maven (which fetches openapi-generator from Maven Central), Go and
 * Python 3.9 with venv.
 */
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { command, demand } from "./command.ts";
import { withWorker } from "./own-worker.ts";

/** From Maven Central; pinned, so that the same clients are made everywhere. */
const GENERATOR = "7.22.0";
const COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy";

const root = path.dirname(import.meta.dirname);
const folder = path.join(root, ".wrangler/clients");
const jar = path.join(folder, `openapi-generator-cli-${GENERATOR}.jar`);
const document = path.join(folder, "openapi.json");
const programs = path.join(import.meta.dirname, "clients");

/** What a program gets: the Worker's address, and the token of an owner of its own. */
type Given = { URL: string; TOKEN: string };

await command(async () => {
  await fetchGenerator();
  const failed: string[] = [];
  await withWorker({ AUTH: "jwt" }, async ({ url, tokenOf }) => {
    writeFileSync(document, await (await fetch(new URL("/openapi.json", url))).text());
    for (const [language, use] of Object.entries({ Go, Python, TypeScript })) {
      const done = use({ URL: url.origin, TOKEN: await tokenOf(language) });
      await done.then(
        () => console.log(`${language}: made, compiled and used`),
        (error: Error) => failed.push(`${language}: ${error.message}`),
      );
    }
  });
  if (failed.length > 0) throw new Error(failed.join("\n"));
});

async function fetchGenerator(): Promise<void> {
  mkdirSync(folder, { recursive: true });
  if (existsSync(jar)) return;
  console.log(`Fetching openapi-generator ${GENERATOR} …`);
  const artifact = `org.openapitools:openapi-generator-cli:${GENERATOR}`;
  await run("mvn", ["-q", "-B", COPY, `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`]);
}

function run(program: string, args: string[], where: { cwd?: string; env?: Given } = {}) {
  return demand(program, args, { cwd: root, quiet: true, ...where });
}

/** Makes a client in an empty folder. @returns the folder around it */
async function generate(generator: string, into: string, options: string[]): Promise<string> {
  const around = path.join(folder, generator);
  rmSync(around, { recursive: true, force: true });
  mkdirSync(around, { recursive: true });
  const only =
    "apis,models,supportingFiles,apiTests=false,modelTests=false,apiDocs=false,modelDocs=false";
  await run("java", [
    ...["-Dlog.level=error", "-jar", jar, "generate", "-i", document, "-g", generator],
    ...["-o", path.join(around, into), "--global-property", only, ...options],
  ]);
  return around;
}

async function Go(env: Given): Promise<void> {
  const names = ["--git-host", "example.com", "--git-user-id", "todo", "--git-repo-id", "client"];
  const around = await generate("go", "client", [
    ...names,
    "--additional-properties=packageName=client",
  ]);
  cpSync(path.join(programs, "main.go"), path.join(around, "main.go"));
  const module = "example.com/todo/client";
  const required = `require ${module} v0.0.0\n\nreplace ${module} => ./client\n`;
  writeFileSync(path.join(around, "go.mod"), `module example.com/use\n\ngo 1.23\n\n${required}`);
  await run("go", ["build", "-mod=mod", "-o", "use", "."], { cwd: around });
  await run(path.join(around, "use"), [], { env });
}

async function Python(env: Given): Promise<void> {
  const around = await generate("python", "client", [
    "--additional-properties=packageName=todo_client",
  ]);
  const python = path.join(around, "venv/bin/python");
  await run("python3", ["-m", "venv", path.join(around, "venv")]);
  await run(python, ["-m", "pip", "install", "--quiet", path.join(around, "client")]);
  await run(python, ["-m", "compileall", "-q", path.join(around, "client/todo_client")]);
  await run(python, [path.join(programs, "use.py")], { env });
}

async function TypeScript(env: Given): Promise<void> {
  const around = await generate("typescript-fetch", "client", [
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
  await run(path.join(root, "node_modules/.bin/tsc"), ["-p", around]);
  await run(process.execPath, [path.join(around, "out/use.js")], { env });
}
