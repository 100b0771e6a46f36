// One rolling restart behind each of the given balancers. `run.sh` says how, and with which settings. Fails when one did not go as it must.
import { Balancer } from '../../web/test/balancer.mjs';
import { Crowd } from '../../web/test/crowd.mjs';
import { TransactionCounter } from '../../web/test/database.mjs';
import { Server, until } from '../../web/test/support.mjs';
import { faults } from './verdict.mjs';

const number = (name) => Number(process.env[name]);
const sleep = (seconds) => new Promise((wake) => setTimeout(wake, seconds * 1_000));
const INSTANCES = number('INSTANCES');
const PLAN = { clients: number('CLIENTS'), teams: number('TEAMS'), eventsPerSecond: number('EVENTS_PER_SECOND') };
const DATABASE = { host: process.env.DATABASE_DIRECTORY, user: 'postgres', database: 'porchlight' };
const SETTINGS = { DATABASE_URL: `postgres://postgres@localhost/porchlight?host=${DATABASE.host}`, PORCHLIGHT_TRUSTED_PROXIES: '1', PORCHLIGHT_USER_RATE: '0', PORCHLIGHT_SERVICE_RATE: '0', PORCHLIGHT_LOG: 'warn,porchlight=info' };

/** The instances are restarted one after the other, while events are published. */
async function measure(balancer, instances, counter) {
  const crowd = new Crowd({ name: balancer.name, url: balancer.url, ...PLAN });
  try {
    await crowd.open();
    const startedAt = Date.now();
    crowd.startPublishing();
    await sleep(3);
    const quiet = await counter.during(() => sleep(number('SECONDS_QUIET')));
    const before = crowd.mark();
    const restart = await counter.during(async () => {
      for (const instance of instances) {
        await instance.restart();
        await sleep(number('SECONDS_BETWEEN'));
      }
    });
    const publishingSeconds = Math.round((Date.now() - startedAt) / 1_000);
    await crowd.stopPublishing();
    await until('all have all events', async () => crowd.isComplete).catch((error) => console.error(error.message, JSON.stringify(crowd.missing().slice(0, 3), null, 1)));
    return { ...crowd.summary(), publishingSeconds, quietMs: before, quiet, restart };
  } finally {
    crowd.close();
  }
}

const text = (counts) => Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(', ') || 'none';

const rates = (name, { quiet, restart }) => `${name}/s: quiet ${quiet[name].mean}, during the restart ${restart[name].mean}, at most ${restart[name].most} in 5 s`;

function print(name, result, wrong) {
  console.log(`== ${name}
lost ${result.lost}, repeated ${result.repeated}, out of order ${result.outOfOrder}, resets ${result.resets} (${result.published} events, ${result.received} of ${result.owed} receipts)
longest wait of a client: ${result.longestWaitMs} ms; ends of streams: ${text(result.ends)}
publish to receipt: median ${result.medianDelayMs} ms, p99 ${result.p99DelayMs} ms, longest ${result.longestDelayMs} ms; before the restart: p99 ${result.quietMs} ms
longest publish ${result.longestPublishMs} ms; POSTs that were repeated: ${text(result.publishedAgain)}
${rates('transactions', result)}
${rates('statements', result)}
${wrong.map((sentence) => `WRONG: ${sentence}`).join('\n') || 'as it must be'}
`);
}

const counter = await TransactionCounter.connect(DATABASE);
const instances = await Promise.all(Array.from({ length: INSTANCES }, () => Server.start(SETTINGS)));
try {
  for (const name of process.env.BALANCERS.split(' ')) {
    const balancer = await Balancer.start(name, instances.map(({ url }) => new URL(url).host));
    const result = await measure(balancer, instances, counter);
    const wrong = faults(result, PLAN);
    print(name, result, wrong);
    if (wrong.length > 0) process.exitCode = 1;
    await balancer.stop();
  }
} finally {
  await counter.close();
  for (const server of instances) await server.stop();
}
