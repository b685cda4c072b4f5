-- KEYS: the list of the subject's flows. ARGV: prefix of flows, prefix of the lists of sessions' flows, and the id that stays if there is
-- one.
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
    if id ~= ARGV[3] then
        local binding = redis.call('HGET', ARGV[1] .. id, 'binding')
        if binding then
            redis.call('LREM', ARGV[2] .. binding, 1, id)
        end
        redis.call('DEL', ARGV[1] .. id)
        redis.call('LREM', KEYS[1], 1, id)
    end
end
return 1
