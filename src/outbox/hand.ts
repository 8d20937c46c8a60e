/**
 * More hands: parts of a backlog go to further invocations of this Worker, each with subrequests of its own. Only the
 * run that asks them moves the breaker; a hand claims its own rows, and stops by itself.
 */
import { logError, shareOf } from "../run.ts";
import type { Bindings } from "../settings.ts";
import { beginRun } from "./cron-run.ts";
import { type PostReport, postAsHand } from "./dispatch.ts";
import type { Outbox } from "./outbox.ts";

/** What a hand is asked: to post until `endsAt` (ms), owners in turn from `turn`. */
export type HandTask = { turn: string; endsAt: number };

/** What hands did. `stopped`: those that did not come, could make no more requests, or saw failures; `problem`: why one did. */
export type HandsReport = {
  asked: number;
  posted: number;
  accepted: number;
  stopped?: number;
  problem?: string;
};

/** Further invocations. `help` never rejects. */
export type Hands = {
  max: number;
  help: (count: number, turn: string) => Promise<HandsReport>;
};

// It stops after so many failures in a row: the run that asked it finds out what is wrong.
const FAILURES_MAX = 5;

/** The work of one hand: an invocation of its own, with its own budget. @throws SettingError */
export async function lendHand(
  env: Bindings,
  outbox: Outbox,
  { turn, endsAt }: HandTask,
): Promise<PostReport> {
  const { run, meter } = beginRun(env, outbox);
  return postAsHand(run, { turn, failuresMax: FAILURES_MAX }, shareOf(meter, 0, endsAt));
}

/** @param ask calls one further invocation, which does `lendHand` */
export function handsOf(
  ask: (task: HandTask) => Promise<PostReport>,
  { max, endsAt }: { max: number; endsAt: number },
): Hands {
  return {
    max,
    async help(count, turn) {
      const report: HandsReport = { asked: count, posted: 0, accepted: 0 };
      await Promise.all(
        Array.from({ length: count }, async () => {
          try {
            const { posted, accepted, problem } = await ask({ turn, endsAt });
            report.posted += posted;
            report.accepted += accepted;
            if (problem) stopped(report, problem);
          } catch (error) {
            logError({ cron: "hand" }, error);
            stopped(report, error instanceof Error ? error.message : String(error));
          }
        }),
      );
      return report;
    },
  };
}

function stopped(report: HandsReport, problem: string): void {
  report.stopped = (report.stopped ?? 0) + 1;
  report.problem = problem;
}
