/** Settings: their defaults and ranges, and that no fraction breaks a request or the cron. */
import { expect, test } from "vitest";
import { deliverySettings, SettingError, type SettingName } from "../../src/config.ts";
import { call, cron, letTimePass, log, newEnv } from "../support/worker.ts";

test("without settings, the defaults apply", () => {
  expect(deliverySettings(newEnv())).toEqual({
    audit: { delayMs: 120_000, patienceMs: 600_000 },
    maxTries: 10,
    maxAgeMs: 72 * 3_600_000,
    retentionMs: 7 * 86_400_000,
    subrequestBudget: 45,
  });
});

test("AUDIT=off turns the audit off, whatever AUDIT_DELAY_S says", () => {
  expect(deliverySettings(newEnv({ AUDIT: "off", AUDIT_DELAY_S: "5" })).audit).toBeNull();
});

test.each([
  ["AUDIT", "yes"],
  ["AUDIT_DELAY_S", "-1"],
  ["AUDIT_DELAY_S", "two minutes"],
  ["AUDIT_PATIENCE_S", "86401"],
  ["EVENT_MAX_TRIES", "0"],
  ["EVENT_MAX_AGE_H", "NaN"],
  ["RETENTION_DAYS", "0"],
  ["SUBREQUEST_BUDGET", "19"],
  ["SUBREQUEST_BUDGET", "Infinity"],
] as [SettingName, string][])("%s=%s is refused with an error that names it", (name, value) => {
  expect(() => deliverySettings(newEnv({ [name]: value }))).toThrow(SettingError);
  expect(() => deliverySettings(newEnv({ [name]: value }))).toThrow(name);
});

test.each([
  ["AUDIT_DELAY_S", "0.0001"],
  ["AUDIT_PATIENCE_S", "0.0001"],
  ["EVENT_MAX_AGE_H", "0.33333"],
  ["RETENTION_DAYS", "1.11111"],
  ["SUBREQUEST_BUDGET", "45.5"],
  ["EVENT_MAX_TRIES", "2.5"],
] as [SettingName, string][])(
  "a fraction in %s breaks neither a request nor the cron",
  async (name, value) => {
    const env = newEnv({ [name]: value });
    expect((await call(env, "POST", "/todo", { id: 1, item: "x" })).status).toBe(201);
    expect(await log(env)).toMatchObject([{ state: "accepted", stored: 1 }]);
    await env.DB.prepare("UPDATE event SET state = 'pending', accepted_at = NULL").run();
    await letTimePass(env);
    await cron(env);
    expect(await log(env)).not.toMatchObject([{ state: "pending" }]);
  },
);
