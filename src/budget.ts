/** How much one invocation may still do: subrequests and time. */

/** Counts down; `take` is false, and takes nothing, where it is spent. */
export type Budget = {
  /** Takes `n` subrequests, keeping `keep` back. */
  take: (n: number, keep?: number) => boolean;
  /** What is left, in subrequests; 0 once time is over. */
  left: () => number;
};

/** A budget of `subrequests` until `endsAt` (ms). */
export function budgetOf(subrequests: number, endsAt: number): Budget {
  let rest = subrequests;
  const left = () => (Date.now() < endsAt ? rest : 0);
  return {
    left,
    take(n, keep = 0) {
      if (left() < n + keep) return false;
      rest -= n;
      return true;
    },
  };
}

/** A part of `whole`: all of it but `keep`, which is for others, until `endsAt` (ms). */
export function shareOf(whole: Budget, keep: number, endsAt: number): Budget {
  const left = () => (Date.now() < endsAt ? Math.max(0, whole.left() - keep) : 0);
  return { left, take: (n, more = 0) => left() >= n + more && whole.take(n) };
}
