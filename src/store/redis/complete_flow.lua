-- KEYS: the flow. ARGV: now, the new body. Returns whether it was open.
local kept = redis.call('HMGET', KEYS[1], 'completed', 'expires_at')
if kept[1] ~= '0' or tonumber(kept[2]) <= tonumber(ARGV[1]) then
    return 0
end
redis.call('HSET', KEYS[1], 'completed', '1', 'body', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'version', 1)
return 1
