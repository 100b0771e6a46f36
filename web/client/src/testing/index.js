// porchlight/testing: a service in memory, faults on request, and time that a test moves.
export { FakeClock, settle } from './clock.js';
export { fakeEnvironment, memoryKeyValues, seeded } from './environment.js';
export { Faults } from './faults.js';
export { FakeService } from './service.js';
