/** Work on a supply, a few pieces at a time. */

/** `width` and `next` are asked again after each piece: what they answer may change. */
export type Pool<T> = {
  /** How many pieces may be worked on at once now. */
  width: () => number;
  /** The next piece; undefined: none now, and none later unless work that is under way changes that. */
  next: () => T | undefined;
  work: (piece: T) => Promise<void>;
};

/**
 * Works until there is nothing more to do. After a failure nothing new is begun.
 * @throws the first failure, once all that was begun has ended
 */
export async function pool<T>({ width, next, work }: Pool<T>): Promise<void> {
  const failures: unknown[] = [];
  const underWay = new Set<Promise<unknown>>();
  for (;;) {
    while (failures.length === 0 && underWay.size < width()) {
      const piece = next();
      if (piece === undefined) break;
      const one: Promise<unknown> = work(piece)
        .catch((error) => failures.push(error))
        .finally(() => underWay.delete(one));
      underWay.add(one);
    }
    if (underWay.size === 0) break;
    await Promise.race(underWay);
  }
  if (failures.length > 0) throw failures[0];
}
