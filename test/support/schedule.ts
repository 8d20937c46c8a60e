/** Things to do at times, done on demand: thousands of timers are slow. */

type Due = { at: number; order: number; run: () => void };

/** `catchUp` does what is due, in order; what that plans, too, if it is due. */
export type Schedule = {
  at: (ms: number, run: () => void) => void;
  catchUp: () => void;
  clear: () => void;
};

/** An empty schedule, a binary heap; while it runs something, `now` is that thing's time. */
export function scheduleOf(): Schedule & { now: () => number } {
  let heap: Due[] = [];
  let order = 0;
  let running: number | null = null;
  const isBefore = (a: Due, b: Due) => a.at < b.at || (a.at === b.at && a.order < b.order);
  const swap = (i: number, j: number) => {
    const one = heap[i] as Due;
    heap[i] = heap[j] as Due;
    heap[j] = one;
  };
  const up = (from: number) => {
    for (let i = from; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!isBefore(heap[i] as Due, heap[parent] as Due)) return;
      swap(i, parent);
      i = parent;
    }
  };
  const down = () => {
    for (let i = 0; ; ) {
      const [left, right] = [2 * i + 1, 2 * i + 2];
      let least = i;
      if (left < heap.length && isBefore(heap[left] as Due, heap[least] as Due)) least = left;
      if (right < heap.length && isBefore(heap[right] as Due, heap[least] as Due)) least = right;
      if (least === i) return;
      swap(i, least);
      i = least;
    }
  };
  return {
    now: () => running ?? Date.now(),
    at(ms, run) {
      heap.push({ at: ms, order: order++, run });
      up(heap.length - 1);
    },
    catchUp() {
      if (running !== null) return;
      const until = Date.now();
      for (let first = heap[0]; first && first.at <= until; first = heap[0]) {
        const last = heap.pop() as Due;
        if (heap.length > 0) {
          heap[0] = last;
          down();
        }
        running = first.at;
        first.run();
        running = null;
      }
    },
    clear() {
      heap = [];
    },
  };
}
