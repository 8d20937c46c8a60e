/** Durations as people write them: Go's, as the tutorial's `"10s"`, or plain seconds. */

/** 1 second to 1 hour: `10`, `10s`, `2m`, `1m30s`, `1h`. A pattern, so that the API document can carry it. */
export const DURATION =
  /^(?:(?:[1-9]\d{0,2}|[12]\d{3}|3[0-5]\d{2}|3600)s?|(?:[1-9]|[1-5]\d)m(?:[1-5]?\ds)?|60m|1h(?:0m)?(?:0s)?)$/;

/** Whole seconds of a text that matches DURATION: `"1m30s"` → 90. */
export function durationSeconds(text: string): number {
  const [, hours = 0, minutes = 0, seconds = 0] =
    /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?$/.exec(text) ?? [];
  return Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds);
}
