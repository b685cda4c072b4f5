-- KEYS: the flow, and the list of its session's flows. ARGV: prefix of flows. Returns whether the flow is there.
if redis.call('EXISTS', KEYS[1]) == 0 then
    return 0
end
-- The list is short, and this happens only when another flow comes into use.
for _, id in ipairs(redis.call('LRANGE', KEYS[2], 0, -1)) do
    redis.call('HDEL', ARGV[1] .. id, 'in_use')
end
redis.call('HSET', KEYS[1], 'in_use', '1')
return 1
