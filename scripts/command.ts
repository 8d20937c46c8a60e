/** What the scripts share: how they read arguments, and how they end. */
import { spawn } from "node:child_process";
import path from "node:path";
import { type ParseArgsConfig, parseArgs } from "node:util";

/** The arguments. @throws Error that says what is wrong with them, and the usage */
export function argumentsOf<const Config extends ParseArgsConfig>(usage: string, config: Config) {
  try {
    return parseArgs(config);
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${usage}`);
  }
}

/** Does a script's work; an error ends it with its message and exit code 1. */
export async function command(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}

type Where = { cwd?: string; env?: Record<string, string>; quiet?: boolean };

/** Runs a program; quiet: without what it prints, but for errors. @throws Error if it cannot be run or fails */
export function demand(program: string, args: string[], where: Where = {}): Promise<void> {
  const { env = {}, quiet = false, ...rest } = where;
  const printed = quiet ? "ignore" : "inherit";
  const stdio = ["ignore", printed, "inherit"] as const;
  const child = spawn(program, args, {
    ...rest,
    env: { ...process.env, ...env },
    stdio: [...stdio],
  });
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${path.basename(program)}: ${why}`));
    child.on("error", (error) => fail(error.message));
    child.on("close", (code) => (code === 0 ? resolve() : fail(`exit ${code}`)));
  });
}
