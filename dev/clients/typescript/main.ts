// The main job with a generated client: register, log in, book, release and pay, export, download.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Reservation = components["schemas"]["Reservation"];

const email = "typescript@example.com";
const password = "Correct-horse-1";

const client = createClient<paths>({ baseUrl: process.argv[2] });

/** The data of an answer that must be a success. */
function expect<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  const { data, error, response } = answer;
  assert(data !== undefined, `${response.url}: ${response.status} ${JSON.stringify(error)}`);
  return data;
}

async function logIn(): Promise<void> {
  const registered = expect(
    await client.POST("/api/auth/register", { body: { username: "Asha", email, password } }),
  );
  assert.equal(registered.user.role, "user");
  const refused = await client.POST("/api/auth/login", { body: { email, password: "wrong" } });
  assert.equal(refused.error?.code, "invalid_credentials");
  const { token } = expect(await client.POST("/api/auth/login", { body: { email, password } }));
  client.use({
    onRequest({ request }) {
      request.headers.set("Authorization", `Bearer ${token}`);
    },
  });
}

async function park(): Promise<Reservation> {
  const { lots } = expect(await client.GET("/api/parking-lots"));
  const lot = lots.find((lot) => lot.available_slots > 0);
  assert(lot);
  const { reservation: stay } = expect(
    await client.POST("/api/booking/book-spot", {
      params: { header: { "Idempotency-Key": crypto.randomUUID() } },
      body: { lot_id: lot.id },
    }),
  );
  assert.deepEqual([stay.state, stay.lot.id], ["active", lot.id]);
  const { reservation: paid } = expect(
    await client.POST("/api/booking/release-spot", {
      body: { reservation_id: stay.id, payment_method: "upi", transaction_id: "TXN-TypeScript" },
    }),
  );
  assert.deepEqual([paid.id, paid.state, paid.cost], [stay.id, "completed", lot.price]);
  assert.deepEqual([paid.payment?.state, paid.payment?.transaction_id], ["paid", "TXN-TypeScript"]);
  return paid;
}

async function requestExport(): Promise<string> {
  const { task_id } = expect(await client.POST("/api/export/csv/request", { body: { format: "csv" } }));
  const deadline = Date.now() + 30_000;
  for (;;) {
    const task = expect(await client.GET("/api/tasks/{task}", { params: { path: { task: task_id } } }));
    if (task.state === "SUCCESS") return task_id;
    assert(["PENDING", "PROGRESS"].includes(task.state), `the task is ${task.state}: ${task.error}`);
    assert(Date.now() < deadline, "the export takes too long");
    await sleep(100);
  }
}

async function download(id: string, stay: Reservation): Promise<void> {
  const params = { path: { id } };
  const { export: listed } = expect(await client.GET("/api/export/csv/status/{id}", { params }));
  const file = expect(await client.GET("/api/export/download/{id}", { params, parseAs: "text" }));
  const [header, row, ...rest] = file.trimEnd().split("\n");
  assert.deepEqual([listed.rows, listed.bytes], [1, Buffer.byteLength(file)]);
  assert(header && row && rest.length === 0);
  assert(row.includes(stay.lot.name) && row.includes("TXN-TypeScript"), row);
}

await logIn();
const stay = await park();
await download(await requestExport(), stay);
