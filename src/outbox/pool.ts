/** Workers over a supply, a few at a time. */

/** `width` and `next` are asked again after each piece of work: both may change. */
export type Pool<T> = {
  /** How many may work at once now. */
  width: () => number;
  /** The next piece; undefined: none now, and none later unless work that is under way changes that. */
  next: () => Promise<T | undefined>;
  work: (piece: T) => Promise<void>;
};

/**
 * Works until there is nothing more to do. After a failure nothing new is begun.
 * @throws the first failure, once all that was begun has ended
 */
export async function pool<T>({ width, next, work }: Pool<T>): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const failures: unknown[] = [];
  let working = 0;
  let isDry = false;
  const one = async () => {
    try {
      const piece = await next();
      if (piece === undefined) isDry = true;
      else {
        await work(piece);
        isDry = false;
      }
    } catch (error) {
      failures.push(error);
    }
    working--;
    fill();
  };
  const fill = () => {
    while (!isDry && failures.length === 0 && working < width()) {
      working++;
      void one();
    }
    if (working === 0) resolve();
  };
  fill();
  await over;
  if (failures.length > 0) throw failures[0];
}
