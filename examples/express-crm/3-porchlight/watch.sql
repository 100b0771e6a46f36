-- From now on each committed change of these tables is an event. A CRM runs this once, as a migration.
select porchlight.watch(module::regclass, module => module, broker_column => 'broker_id', team_column => 'team_id',
    owner_column => 'owner_id', version_column => 'version', actor_column => 'updated_by', camel_case => false)
from unnest('{escrows,listings,clients,appointments,leads}'::text[]) as m (module);
