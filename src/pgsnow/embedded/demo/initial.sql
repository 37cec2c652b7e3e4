-- The rows that are there before the first tick, edge values among them: NULL beside '', quotes, emoji, extremes.
insert into public.users (email, name, membership, balance, profile, tags, active, born)
select 'user' || n || '@example.com',
       case n % 7 when 0 then null when 1 then '' when 2 then 'O''Brien "' || n || '" ' || chr(9749) else 'Name ' || n end,
       (array['free', 'plus', 'pro'])[1 + n % 3]::public.membership,
       case n % 5 when 0 then -9999999999.99 when 1 then 9999999999.99 else n / 100.0 end,
       case n % 4 when 0 then null else jsonb_build_object('n', n, 'ratio', 12345678.125, 'nothing', null) end,
       case n % 3 when 0 then '{}' when 1 then array['a', 'b,c', 'd"e'] else array[n::text, null] end,
       n % 2 = 0,
       case n % 6 when 0 then null else date '1950-01-01' + n end
from generate_series(1, 3000) n;

insert into public.checkins (user_id, place, distance, visit, details, token, wall_clock, on_day)
select 1 + n % 3000,
       case n % 9 when 0 then null else 'Place ' || n % 100 end,
       case n % 8 when 0 then null else n / 3.0::float8 end,
       n % 30000,
       case n % 5 when 0 then '[]' else jsonb_build_array(n, 'x', true) end,
       case n % 6 when 0 then null else decode(md5(n::text), 'hex') end,
       timestamp '2024-02-29 23:59:59.999999' + n * interval '1 minute',
       date '2024-01-01' + n % 700
from generate_series(1, 5000) n;
