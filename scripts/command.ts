/** What the scripts share: how they read arguments, and how they end. */
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
