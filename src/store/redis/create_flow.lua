-- KEYS: the flow, the list of its session's flows (or of those without a session), and the list of its subject's if it has one.
-- ARGV: prefix of flows, id, expires_at, version, completed, body, milliseconds to keep it, how many to keep, the binding or
-- nothing, and the subject if there is one. Returns whether it was created.
if redis.call('EXISTS', KEYS[1]) == 1 then
    return 0
end
redis.call('HSET', KEYS[1], 'expires_at', ARGV[3], 'version', ARGV[4], 'completed', ARGV[5], 'body', ARGV[6])
if ARGV[9] ~= '' then
    redis.call('HSET', KEYS[1], 'binding', ARGV[9])
end
if ARGV[10] then
    redis.call('HSET', KEYS[1], 'subject', ARGV[10])
end
redis.call('PEXPIRE', KEYS[1], ARGV[7])
for list = 2, #KEYS do
    -- A flow without a session that is completed is pushed out by no others.
    if list > 2 or ARGV[9] ~= '' or ARGV[5] == '0' then
        redis.call('RPUSH', KEYS[list], ARGV[2])
        -- A list lasts as long as the last of its flows.
        if redis.call('PTTL', KEYS[list]) < tonumber(ARGV[7]) then
            redis.call('PEXPIRE', KEYS[list], ARGV[7])
        end
    end
end
local keep = tonumber(ARGV[8])
-- The one in use stays. Of two flows, the other is the new one: so it stays only where two may.
local in_use
for _ = 1, redis.call('LLEN', KEYS[2]) - keep do
    local oldest = redis.call('LPOP', KEYS[2])
    if keep > 1 and not in_use and redis.call('HEXISTS', ARGV[1] .. oldest, 'in_use') == 1 then
        in_use = oldest
        oldest = redis.call('LPOP', KEYS[2])
    end
    -- A version before left those that were completed in the list of flows without a session.
    if ARGV[9] ~= '' or redis.call('HGET', ARGV[1] .. oldest, 'completed') ~= '1' then
        redis.call('DEL', ARGV[1] .. oldest)
        if KEYS[3] then
            redis.call('LREM', KEYS[3], 1, oldest)
        end
    end
end
if in_use then
    redis.call('LPUSH', KEYS[2], in_use)
end
-- A subject's flows are not counted. Flows that Redis has forgotten leave the subject's list here. They are its oldest.
local function first()
    return KEYS[3] and redis.call('LINDEX', KEYS[3], 0)
end
while first() and redis.call('EXISTS', ARGV[1] .. first()) == 0 do
    redis.call('LPOP', KEYS[3])
end
return 1
