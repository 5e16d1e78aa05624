--- Wait until something is so that comes about in a moment, in the background or in another
-- process; raise when it does not.

return function(is_so, what)
  local began = os.time()
  while not is_so() do
    if os.time() - began > 30 then error("waited in vain for " .. what, 2) end
  end
end
