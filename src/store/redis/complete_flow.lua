-- KEYS: the flow, and the list of flows without a session. ARGV: now, the new body, the flow's id. Returns whether it was open.
local kept = redis.call('HMGET', KEYS[1], 'completed', 'expires_at', 'binding')
if kept[1] ~= '0' or tonumber(kept[2]) <= tonumber(ARGV[1]) then
    return 0
end
redis.call('HSET', KEYS[1], 'completed', '1', 'body', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'version', 1)
-- It says that something was proven with it. So no others push it out: it lasts until it expires.
if not kept[3] then
    redis.call('LREM', KEYS[2], 1, ARGV[3])
end
return 1
