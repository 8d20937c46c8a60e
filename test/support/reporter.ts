/** Begins `npm test` with how long it takes; ends it with what to do next and, as the very last line, the counts. */
import { relative } from "node:path";
import type { SerializedError } from "vitest";
import type { Reporter, TestModule, TestRunEndReason } from "vitest/node";

/** A run's totals; a file that cannot be loaded or a failing hook counts as one failure. */
type Counts = { passed: number; failed: number; skipped: number; firstFailure?: string };

/** Two cores, nothing else running. */
const BEGINNING =
  "All tests: in workerd, in Node and in a browser, on this machine alone. About three minutes on two cores.";

/** Vitest reporter; list it after the default one. */
export default class CountsReporter implements Reporter {
  #counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  #interrupted = false;

  /** Prints when the process exits, since Vitest itself still prints after onTestRunEnd. */
  onInit(): void {
    // A run of some files says what it does by itself.
    if (process.argv.slice(2).join(" ") === "run") process.stdout.write(`${BEGINNING}\n`);
    process.once("exit", () => {
      const { passed, failed, skipped } = this.#counts;
      // A run without tests proves nothing, whatever the reason.
      if (passed + failed === 0) process.exitCode ||= 1;
      const lines = [nextStep(this.#counts, this.#interrupted), line(passed, failed, skipped)];
      process.stdout.write(`\n${lines.join("\n")}\n`);
    });
  }

  onTestRunEnd(
    modules: readonly TestModule[],
    unhandled: readonly SerializedError[],
    reason: TestRunEndReason,
  ): void {
    this.#counts = count(modules, unhandled.length);
    this.#interrupted = reason === "interrupted";
  }
}

/** Counts tests, and what failed outside any test. */
function count(modules: readonly TestModule[], unhandled: number): Counts {
  const counts: Counts = { passed: 0, failed: unhandled, skipped: 0 };
  const fail = (module: TestModule, times: number) => {
    counts.failed += times;
    if (times > 0) counts.firstFailure ??= relative(process.cwd(), module.moduleId);
  };
  for (const module of modules) {
    for (const { state } of [...module.children.allTests()].map((test) => test.result())) {
      if (state === "passed") counts.passed++;
      else if (state === "failed") fail(module, 1);
      else counts.skipped++;
    }
    const broken = [module, ...module.children.allSuites()].filter((s) => s.errors().length > 0);
    fail(module, broken.length);
  }
  return counts;
}

function nextStep({ passed, failed, firstFailure }: Counts, interrupted: boolean): string {
  if (interrupted) return "Stopped before the end. Next: npm test";
  if (failed > 0) {
    return firstFailure
      ? `Next: mend it, then run that file alone with npm test -- ${firstFailure}`
      : "Next: mend the errors outside any test that are printed above.";
  }
  if (passed === 0) return "No test ran. Next: npm test, without a filter that matches nothing.";
  return "Next: npm run dev (it prints two curl commands to paste), or npm run check before a commit.";
}

function line(passed: number, failed: number, skipped: number): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}
