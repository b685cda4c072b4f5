-- KEYS: the flow. ARGV: the version that is known, the new body. Returns whether it was written.
local kept = redis.call('HMGET', KEYS[1], 'version', 'completed')
if kept[1] ~= ARGV[1] or kept[2] ~= '0' then
    return 0
end
redis.call('HSET', KEYS[1], 'body', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'version', 1)
return 1
