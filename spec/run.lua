-- Runs the specs: `lua5.4 spec/run.lua`, with busted's own arguments behind it. (Debian's
-- busted runs under another Lua; this runs under the one that it was started with.)
require "busted.runner" { standalone = false }
