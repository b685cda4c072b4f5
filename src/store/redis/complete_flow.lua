-- KEYS: the flow. ARGV: now. Returns whether it was open.
local kept = redis.call('HMGET', KEYS[1], 'completed', 'expires_at')
if kept[1] ~= '0' or tonumber(kept[2]) <= tonumber(ARGV[1]) then
    return 0
end
redis.call('HSET', KEYS[1], 'completed', '1')
return 1
