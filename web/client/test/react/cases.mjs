// All cases; bundled once for each version of React.
import './provider.mjs';
import './records.mjs';
import './connection.mjs';
import './server.mjs';
import './collaboration.mjs';
import './queries.mjs';
import './work.mjs';
